# Looks up a name three times, and fails twice without asking a server.
import socket

for i in range(3):
    socket.getaddrinfo("localhost", 80)
for i in range(2):
    try:
        socket.getaddrinfo("nohost", 80, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass
