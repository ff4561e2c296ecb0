"""As much of the NATS protocol as a bench needs: subscribe, and read what comes."""

import json
import socket


class Subscriber:
    """A connection with subscriptions. `messages` yields (subscription, subject, reply, headers, payload)."""

    def __init__(self, port, *subjects):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
        self.buffer, self.at = bytearray(), 0
        self.line()
        options = {"verbose": False, "pedantic": False, "headers": True, "lang": "bench", "version": "1",
                   "protocol": 1, "no_responders": False}
        lines = [f"CONNECT {json.dumps(options)}"]
        lines += [f"SUB {subject} {number}" for number, subject in enumerate(subjects)]
        self.socket.sendall(("\r\n".join(lines + ["PING"]) + "\r\n").encode())
        while self.line() != b"PONG":
            pass

    def more(self):
        if self.at > 1 << 20:
            del self.buffer[:self.at]
            self.at = 0
        got = self.socket.recv(1 << 18)
        if not got:
            raise ConnectionError("the server closed the connection")
        self.buffer += got

    def line(self):
        while (end := self.buffer.find(b"\r\n", self.at)) < 0:
            self.more()
        line = bytes(self.buffer[self.at:end])
        self.at = end + 2
        return line

    def take(self, count):
        while len(self.buffer) < self.at + count + 2:
            self.more()
        taken = bytes(self.buffer[self.at:self.at + count])
        self.at += count + 2
        return taken

    def messages(self, timeout):
        """Yields messages until none comes for `timeout` seconds."""
        self.socket.settimeout(timeout)
        try:
            while True:
                words = self.line().split()
                if words[0] == b"PING":
                    self.socket.sendall(b"PONG\r\n")
                elif words[0] in (b"MSG", b"HMSG"):
                    heads = int(words[-2]) if words[0] == b"HMSG" else 0
                    fixed = 5 if words[0] == b"HMSG" else 4
                    reply = words[3].decode() if len(words) > fixed else ""
                    body = self.take(int(words[-1]))
                    yield int(words[2]), words[1].decode(), reply, body[:heads], body[heads:]
                elif words[0] == b"-ERR":
                    raise ConnectionError(b" ".join(words).decode())
        except (TimeoutError, ConnectionError, OSError):
            return

    def close(self):
        self.socket.close()
