"""localstripe on a free loopback port, for as long as its standard input is open. The first line it prints says where it answers.

localstripe itself listens on every address of the machine and keeps what it stores in a file that all its processes share; here it does
neither. It is a program of its own (GPL-3.0), installed and run, and no part of Crossdock.
"""

import importlib.metadata
import json
import os
import socket
import sys
import threading

from aiohttp import web
from localstripe import resources, server

resources.Store.dump_to_disk = lambda store: None


def end_with_input():
    sys.stdin.read()
    os._exit(0)


listener = socket.create_server(("127.0.0.1", 0))
threading.Thread(target=end_with_input, daemon=True).start()
said = {"url": f"http://127.0.0.1:{listener.getsockname()[1]}", "version": importlib.metadata.version("localstripe")}
print(json.dumps(said), flush=True)
web.run_app(server.app, sock=listener, print=None, access_log=None)
