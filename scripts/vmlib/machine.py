# SPDX-License-Identifier: MIT
"""One virtual machine: its process, its console, its agent, its network card, its power switch.

All machines share one Ethernet segment, which the first one's process carries (a hub); the others
connect to it by a Unix socket, so that no frame is lost between two machines that the guests have not
dropped. What passes each card is kept in NAME.pcap.
"""

import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time

from . import STATE, VmError
from .agent import Agent, Silent

MEMORY_MB = 768
BOOT_SEC = 400  # 30 s on an idle machine; emulation and two busy cores make much more of it
STOP_SEC = 60
BOOT_ID_SEC = 30  # soon, since the boot that was asked may be ending
COMMAND_SEC = 120
CAPTURED_BYTES = 256  # of each frame
SNAPSHOTS = "/var/tmp"
ENVIRONMENT = "export HOME=/root LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive; cd /root; "


class Result:
    def __init__(self, status, output, errors):
        self.status, self.output, self.errors = status, output, errors


class Machine:
    def __init__(self, name, number, pid=None):
        self.name, self.number, self.pid = name, number, pid
        self.agent = Agent(self.path("agent"))

    def path(self, kind):
        return f"{STATE}/{self.name}.{kind}"

    @property
    def address(self):
        return f"192.0.2.{self.number + 1}"

    # power -------------------------------------------------------------------------------------

    def network(self, count):
        card = f"mac=52:54:00:71:6b:{self.number + 1:02x}"
        words = ["-object", f"filter-dump,id=dump,netdev=card,file={self.path('pcap')},"
                 f"maxlen={CAPTURED_BYTES}"]
        if self.number > 0:
            return ["-netdev", f"stream,id=card,addr.type=unix,addr.path={STATE}/wire{self.number}",
                    "-device", f"virtio-net-pci,netdev=card,{card}", *words]
        words = ["-netdev", "hubport,id=card,hubid=0", "-device", f"virtio-net-pci,netdev=card,{card}",
                 *words]
        for i in range(1, count):
            words += ["-netdev", f"stream,id=wire{i},server=on,addr.type=unix,addr.path={STATE}/wire{i}",
                      "-netdev", f"hubport,id=port{i},hubid=0,netdev=wire{i}"]
        return words

    def words(self, image, count):
        kernel = (f"root=/dev/vda rw console=ttyS0 net.ifnames=0 systemd.hostname={self.name} "
                  f"ip={self.address}:::255.255.255.0::eth0:none systemd.firstboot=off panic=5 mitigations=off "
                  f"systemd.machine_id=71646b6b657972696e67{self.number + 1:012x}")
        return ["qemu-system-x86_64", "-name", self.name, "-machine", "q35", "-accel", "tcg",
                # Without ERMS: a byte at a time, a starved guest clears a page for minutes between its
                # ticks. Without LA57 and SMAP: both make every access to memory dearer.
                "-cpu", "max,-erms,-la57,-smap", "-smp", "1", "-m", str(MEMORY_MB), "-nodefaults", "-display", "none",
                "-serial", f"file:{self.path('console')}",
                "-qmp", f"unix:{self.path('qmp')},server=on,wait=off",
                "-drive", f"file={image}/root.img,format=raw,if=virtio,snapshot=on,cache=unsafe",
                "-kernel", f"{image}/vmlinuz", "-initrd", f"{image}/initrd", "-append", kernel,
                "-device", "virtio-rng-pci", "-device", "virtio-serial",
                "-chardev", f"socket,path={self.path('agent')},server=on,wait=off,id=agent",
                "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0",
                *self.network(count)]

    def start(self, image, count, prepare):
        """prepare() runs in the new process; what the process says goes to NAME.log."""
        with open(self.path("log"), "wb") as log:
            process = subprocess.Popen(
                self.words(image, count), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=prepare, env={**os.environ, "TMPDIR": SNAPSHOTS})
        self.pid = process.pid
        end = time.monotonic() + 30
        while not os.path.exists(self.path("agent")) or (
                self.number == 0 and count > 1 and not os.path.exists(f"{STATE}/wire{count - 1}")):
            if process.poll() is not None or time.monotonic() > end:
                with open(self.path("log"), encoding="utf-8", errors="replace") as log:
                    raise VmError(f"{self.name} does not start: {log.read()}")
            time.sleep(0.1)

    def alive(self):
        try:
            with open(f"/proc/{self.pid}/cmdline", "rb") as file:
                return self.path("agent").encode() in file.read()
        except OSError:
            return False

    def kill(self):
        if self.alive():
            os.kill(self.pid, signal.SIGKILL)
        end = time.monotonic() + STOP_SEC
        while self.alive() and time.monotonic() < end:
            try:
                os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pass
            time.sleep(0.05)

    def monitor(self, command, **arguments):
        """One command to the emulator itself."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(self.path("qmp"))
            stream = connection.makefile("rw")
            stream.readline()
            for message in ({"execute": "qmp_capabilities"},
                            {"execute": command, "arguments": arguments}):
                stream.write(json.dumps(message) + "\n")
                stream.flush()
                while True:
                    answer = json.loads(stream.readline())
                    if "return" in answer or "error" in answer:
                        break
        if "error" in answer:
            raise VmError(f"{self.name}: {command}: {answer['error']}")
        return answer["return"]

    def wait_booted(self, seconds=BOOT_SEC):
        """Returns when every job of the start is done; the state may be degraded."""
        end = time.monotonic() + seconds
        while not self.agent.answers():
            if time.monotonic() > end or not self.alive():
                raise VmError(f"{self.name} does not boot; the end of its console:\n"
                              + self.console(30))
            time.sleep(0.5)
        self.run("systemctl is-system-running --wait || true",
                 seconds=max(30, int(end - time.monotonic())))

    def boot_id(self):
        return self.run("cat /proc/sys/kernel/random/boot_id", seconds=BOOT_ID_SEC).output.strip()

    def reboot(self, force=False):
        """An orderly start anew, or the power gone for a moment; returns when it is up again."""
        before = self.boot_id()
        if force:
            self.monitor("system_reset")
        else:
            try:  # nobody waits for it: its end may be unknown to the next boot's agent
                self.agent.call("guest-exec", path="/bin/systemctl", arg=["--no-block", "reboot"])
            except Silent:
                pass
        end = time.monotonic() + BOOT_SEC
        while time.monotonic() < end:
            time.sleep(0.5)
            if self.agent.answers():
                try:
                    if self.boot_id() != before:
                        break
                except VmError:
                    pass
        else:
            raise VmError(f"{self.name} does not come back:\n{self.console(30)}")
        self.wait_booted()

    # inside ------------------------------------------------------------------------------------

    def run(self, script, seconds=COMMAND_SEC, check=True, user=None):
        """A bash script inside, as root or that user."""
        words = ["/bin/bash", "-c", ENVIRONMENT + script]
        if user:
            words = ["/usr/sbin/runuser", "-u", user, "--", "/bin/bash", "-c", script]
        result = Result(*self.agent.execute(words, seconds))
        if check and result.status != 0:
            raise VmError(f"{self.name}# {script}\nstatus {result.status}\n"
                          f"{result.output[-3000:]}{result.errors[-3000:]}")
        return result

    def put(self, source, target):
        """Copies a file or a directory of this machine into the guest, below an existing directory."""
        scratch = f"{STATE}/{self.name}.{os.getpid()}"
        where, what = os.path.split(os.path.abspath(source))
        archive = shutil.make_archive(scratch, "tar", where, what)
        try:
            with open(archive, "rb") as file:
                self.agent.write("/run/put.tar", file.read())
        finally:
            os.unlink(archive)
        self.run(f"tar -C {shlex.quote(target)} --no-same-owner -xf /run/put.tar; rm /run/put.tar")

    def write(self, path, text):
        self.agent.write(path, text.encode())

    def console(self, lines):
        try:
            with open(self.path("console"), encoding="utf-8", errors="replace") as file:
                return "\n".join(file.read().splitlines()[-lines:])
        except OSError:
            return ""
