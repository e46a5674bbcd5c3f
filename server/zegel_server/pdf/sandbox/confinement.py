"""Permanently takes away from a worker process whatever it does not need.

A job parses a hostile file, so its process is treated as if the file's author ran it:

* resource limits: address space, processor time, no files, no core dump;
* no new privileges, no capabilities, and the kernel kills it when the zygote ends;
* namespaces of its own for users, network and IPC: no network interface but a loopback that is down;
* Landlock: files can be read below Python's own folders and nowhere else; no TCP, no signals or ptrace to the outside;
* a seccomp filter: no sockets (Unix ones reach past the namespace), no processes, no signals, no kernel interfaces that
  sandboxes usually break through.

Invariants:

* Without resource limits and "no new privileges" a job does not run.
* The rest depends on the kernel (some containers forbid it); :func:`confine` returns what it granted.
"""

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
import sysconfig
from pathlib import Path

from zegel_server.pdf.limits import WorkerLimits

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER, _CLONE_NEWNET, _CLONE_NEWIPC = 0x10000000, 0x40000000, 0x08000000
_SECCOMP_MODE_FILTER = 2

_MAX_OPEN_FILES = 32
"""Maximum number of a job's file descriptors: its socket, the null device, and a few modules or fonts loaded late."""

# Landlock's system calls have the same numbers on every architecture.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_READ_FILE, _LANDLOCK_READ_DIR = 1 << 2, 1 << 3
_LANDLOCK_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_LANDLOCK_FS_BITS_NOW = 16
_LANDLOCK_NET_ABI, _LANDLOCK_NET = 4, 0b11
_LANDLOCK_SCOPE_ABI, _LANDLOCK_SCOPE = 6, 0b11

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_FORBIDDEN = {
    # x86_64: socket connect clone fork vfork execve kill ptrace mount umount2 init_module keyctl add_key request_key
    # unshare tkill tgkill perf_event_open setns process_vm_readv process_vm_writev finit_module bpf userfaultfd
    # execveat
    "x86_64": (
        *(41, 42, 56, 57, 58, 59, 62, 101, 165, 166, 175, 250, 248, 249, 272),
        *(200, 234, 298, 308, 310, 311, 313, 321, 323, 322),
    ),
    # aarch64: the same calls; it has no fork and vfork.
    "aarch64": (
        *(198, 203, 220, 221, 129, 117, 40, 39, 105, 219, 217, 218, 97),
        *(130, 131, 241, 268, 270, 271, 273, 280, 282, 281),
    ),
}
# pidfd_send_signal, io_uring_*, open_tree .. pidfd_open, clone3, pidfd_getfd: new calls have one number everywhere.
_FORBIDDEN_EVERYWHERE = (424, 425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 435, 438)
_EPERM = 1


def confine(limits: WorkerLimits, parent: int) -> frozenset[str]:
    """Confine the calling process, which must have a single thread.

    Args:
        limits: Memory and processor time.
        parent: Process id of the zygote; if that has already ended, the process ends.

    Returns:
        Which of ``namespaces``, ``capabilities``, ``landlock`` and ``seccomp`` the kernel granted, ``limits`` always
        among them.

    Raises:
        OSError: If limits or "no new privileges" cannot be set.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    granted = {"limits"}
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC) == 0:
        granted.add("namespaces")
    if libc.syscall(_capset_number(), struct.pack("=II", 0x20080522, 0), bytes(24)) == 0:
        granted.add("capabilities")
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    # After everything that changes credentials, which would clear it.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    _set_limits(limits)
    if _landlock(libc):
        granted.add("landlock")
    if _seccomp(libc):
        granted.add("seccomp")
    return frozenset(granted)


def _set_limits(limits: WorkerLimits) -> None:
    for what, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
    ):
        resource.setrlimit(what, (value, value))
    # SIGXCPU at the soft limit shows that processor time ran out; SIGKILL could mean memory as well.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 2))


def _capset_number() -> int:
    return 126 if platform.machine() == "x86_64" else 91


def _readable() -> set[str]:
    paths = {*sys.path, sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
    paths |= {"/lib", "/lib64", "/usr/lib", "/usr/share/zoneinfo", "/etc/ld.so.cache", "/dev/null", "/dev/urandom"}
    # A Python installed straight under the root of the file system must not open all of it.
    return {path for path in paths if path and Path(path).exists() and len(Path(path).resolve().parts) > 1}


def _landlock(libc: ctypes.CDLL) -> bool:
    abi = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    if abi < 1:
        return False
    handled = (1 << _LANDLOCK_FS_BITS.get(abi, _LANDLOCK_FS_BITS_NOW)) - 1
    net = _LANDLOCK_NET if abi >= _LANDLOCK_NET_ABI else 0
    scope = _LANDLOCK_SCOPE if abi >= _LANDLOCK_SCOPE_ABI else 0
    ruleset_attr = struct.pack("=QQQ", handled, net, scope)
    size = 24 if scope else 16 if net else 8
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, ruleset_attr, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    for path in sorted(_readable()):
        with contextlib.suppress(OSError):
            target = os.open(path, os.O_PATH | os.O_CLOEXEC)
            access = _LANDLOCK_READ_FILE | (_LANDLOCK_READ_DIR if Path(path).is_dir() else 0)
            libc.syscall(_LANDLOCK_ADD_RULE, ruleset, 1, struct.pack("=Qi", access, target), 0)
            os.close(target)
    done = libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0) == 0
    os.close(ruleset)
    return bool(done)


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def _seccomp(libc: ctypes.CDLL) -> bool:
    machine = platform.machine()
    if machine not in _FORBIDDEN:
        return False
    numbers = (*_FORBIDDEN[machine], *_FORBIDDEN_EVERYWHERE)
    load, jump_equal, jump_greater, give = 0x20, 0x15, 0x35, 0x06
    allow, refuse, kill = 0x7FFF0000, 0x00050000 | _EPERM, 0x80000000
    code = [
        (load, 0, 0, 4),  # the architecture the call was made for
        (jump_equal, 1, 0, _AUDIT_ARCH[machine]),
        (give, 0, 0, kill),
        (load, 0, 0, 0),  # the call's number
        (jump_greater, len(numbers) + 1, 0, 0x40000000),  # x32 calls: the same numbers with another meaning
        *((jump_equal, len(numbers) - index, 0, number) for index, number in enumerate(numbers)),
        (give, 0, 0, allow),
        (give, 0, 0, refuse),
    ]
    raw = b"".join(struct.pack("=HBBI", *line) for line in code)
    program = _FilterProgram(len(code), raw)
    return bool(libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)
