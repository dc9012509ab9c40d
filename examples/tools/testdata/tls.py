# A client sends three messages of ten bytes over TLS, and a server in the same process sends them back.
import os, socket, ssl, subprocess, tempfile, threading

with tempfile.TemporaryDirectory() as d:
    key, cert = os.path.join(d, "key"), os.path.join(d, "cert")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout", key, "-out", cert], check=True, stderr=subprocess.DEVNULL)
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(cert, key)
client_context = ssl.create_default_context()
client_context.check_hostname = False
client_context.verify_mode = ssl.CERT_NONE
listener = socket.create_server(("127.0.0.1", 0))


def serve():
    connection = server_context.wrap_socket(listener.accept()[0], server_side=True)
    for i in range(3):
        connection.send(connection.recv(100))


server = threading.Thread(target=serve)
server.start()
client = client_context.wrap_socket(socket.create_connection(listener.getsockname()))
for i in range(3):
    client.send(b"0123456789")
    client.recv(100)
server.join()
