# Looks up a name three times, and fails twice without asking a server; looks up an address once.
import ctypes
import socket

for i in range(3):
    socket.getaddrinfo("localhost", 80)
for i in range(2):
    try:
        socket.getaddrinfo("nohost", 80, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
ctypes.CDLL(None).gethostbyaddr(socket.inet_aton("127.0.0.1"), 4, socket.AF_INET)
