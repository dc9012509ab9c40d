# Creates four threads.
import threading

for i in range(4):
    t = threading.Thread(target=lambda: None)
    t.start()
    t.join()
