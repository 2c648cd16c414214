"""The backend of a chat: it answers the webhooks of the gateway, and publishes by HTTP."""
import base64, hmac, json, time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, unquote
from urllib.request import Request, urlopen

def key(name):
    with open(name) as file:
        return file.read().strip()

ACCESS_KEY, API_KEY, SESSION_KEY = key("access.key"), key("api.key"), key("session.key")

def sign(key, data):
    return base64.b64encode(hmac.digest(key.encode(), data, "sha256")).decode()

def session(name):  # a signed cookie
    return quote(name, safe="") + ":" + quote(sign(SESSION_KEY, name.encode()), safe="")

def is_genuine(headers, body):
    sent = headers.get("webhook-timestamp", "")
    signed = f"{headers.get('webhook-id')}.{sent}.".encode() + body
    wanted = ("v1," + sign(ACCESS_KEY, signed)).encode()
    fresh = sent.isdecimal() and abs(time.time() - int(sent)) < 300
    found = headers.get("webhook-signature", "").split()
    return fresh and any(hmac.compare_digest(wanted, s.encode()) for s in found)

def group(room):  # no room: everybody
    return "/groups/room-" + quote(room, safe="") if room else ""

def publish(method, path, *arguments):
    message = json.dumps({"target": "said", "arguments": arguments}).encode() if arguments else None
    url = f"http://127.0.0.1:8080/api/hubs/chat{path}?api-version=2024-12-01"
    headers = {"X-Api-Key": API_KEY, "Content-Type": "application/json"}
    urlopen(Request(url, message, headers, method=method), timeout=5).close()

class Chat(SimpleHTTPRequestHandler):
    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        if not 0 <= length <= 100_000:
            return self.answer(413)
        body = self.rfile.read(length)
        if self.path == "/login":  # by the page
            name = body.decode().strip()[:40]
            return self.answer(204, cookie=session(name)) if name else self.answer(400)
        if not is_genuine(self.headers, body):
            return self.answer(401)
        event = json.loads(body)
        if self.path == "/connect":
            cookie = event["cookies"].get("session", [""])[0]
            name = unquote(cookie.partition(":")[0])
            if not hmac.compare_digest(cookie.encode(), session(name).encode()):
                return self.answer(401)
            return self.answer(200, {"userId": name})
        name = unquote(self.headers["X-ASRS-User-Id"])
        if self.path == "/connections":
            publish("POST", "/:send", "", "", name + (" has come" if event["type"] == 10 else " has left"))
            return self.answer(204)
        method, values = event["target"], [str(value) for value in event["arguments"]]
        if method == "join" and len(values) == 1 and values[0]:
            publish("PUT", f"{group(values[0])}/connections/{self.headers['X-ASRS-Connection-Id']}")
        elif method == "say" and len(values) == 2:
            publish("POST", f"{group(values[0])}/:send", values[0], name, values[1])
        else:
            return self.answer(400)
        self.answer(204)

    def answer(self, status, value=None, cookie=None):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if cookie:
            self.send_header("Set-Cookie", f"session={cookie}; HttpOnly; SameSite=Strict; Path=/")
        self.end_headers()
        if value is not None:
            self.wfile.write(json.dumps(value).encode())

server = ThreadingHTTPServer(("127.0.0.1", 9000), partial(Chat, directory="web"))
print("the chat is at http://localhost:9000/", flush=True)
server.serve_forever()
