"""A program for a real Windows, or Wine: is a process alive, and does a client end with its parent."""

__all__ = ["PROCESSES"]

# Its arguments are the modules that have `replace_process` and `pid_is_alive`.
PROCESSES = """\
import os, subprocess, sys, time
from importlib import import_module

sys.path += [os.getcwd()]
replacing, asking = sys.argv[1:3]
pid_is_alive = import_module(asking).pid_is_alive
client = "import os, time; print(os.getpid(), flush=True); time.sleep(300)"
parent = "import sys; sys.path += %r; import %s as module; module.replace_process([sys.executable, '-c', %r], {**__import__('os').environ})"
started = subprocess.Popen([sys.executable, "-c", parent % (sys.path, replacing, client)], stdout=subprocess.PIPE)
pid = int(started.stdout.readline())
assert pid_is_alive(os.getpid())
print("this one lives")
assert pid != started.pid and pid_is_alive(pid) and pid_is_alive(started.pid)
print("the client lives")
started.kill()
started.wait()
deadline = time.monotonic() + 30
while pid_is_alive(pid) and time.monotonic() < deadline:
    time.sleep(0.1)
assert not pid_is_alive(pid), "it outlives its parent"
print("both have ended")
"""
