"""What a program in the sandbox is cut off from. Linux only; the standard library and libc through ctypes.

Two levels, of which `raml.answers.sandbox` takes the first that the machine allows:

- `namespaces`: user, network, mount, process and IPC namespaces of its own. There is no network device, no other
  process, and of the files only the interpreter's and the system's libraries, read-only; what can be written is one
  folder in memory of limited size. Root needs no user namespace and becomes a user that owns nothing.
- `limits`: the limits and the filter of system calls alone, and for root another user. Files that the user may read
  can be read, and those that the user may write be written.

Both levels refuse the system calls of `_REFUSED` and sockets other than of this machine's own programs.
"""

import ctypes
import errno
import fcntl
import os
import platform
import resource
import signal
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal

Level = Literal["namespaces", "limits"]

FOLDER: Final = "/sandbox"  # in the file system of a namespace
FIRST_USER: Final = 200_000  # of those that root becomes, one a sandbox: limits on processes count by user

_CLONE_NEW: Final = {"mount": 0x20000, "uts": 0x4000000, "ipc": 0x8000000, "pid": 0x20000000, "net": 0x40000000}
_CLONE_NEWUSER: Final = 0x10000000
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC, _MS_PRIVATE = 2, 4, 4096, 16384, 1 << 18
_MNT_DETACH: Final = 2
_MOUNT_ATTR_RDONLY, _AT_FDCWD, _AT_RECURSIVE = 1, -100, 0x8000
_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 22, 36, 38
_CAPABILITY_VERSION: Final = 0x20080522
_MOUNT_SETATTR: Final = 442  # the same on all architectures

# Of x86-64 and of ARM: sockets are asked for by their first argument, kill by its, and the rest is refused.
_AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SOCKET: Final = {"x86_64": (41, 53), "aarch64": (198, 199)}  # socket and socketpair
_KILL: Final = {"x86_64": 62, "aarch64": 129}
_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}
_REFUSED: Final = {  # ptrace, mount, umount2, unshare, setns, keyctl, bpf, io_uring_setup (which opens sockets)
    "x86_64": (101, 165, 166, 272, 308, 250, 321, 425),
    "aarch64": (117, 40, 39, 97, 268, 219, 280, 425),
}
_X32: Final = 0x40000000  # calls of x86-64's other numbering
_AF_UNIX: Final = 1

_LOAD, _EQUALS, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06

Rule = tuple[int, int, int, int]
"""An instruction of a filter: code, value, and of a jump how many to skip where it holds and where not."""

_libc = ctypes.CDLL(None, use_errno=True)


def enter_namespaces() -> None:
    """Let this process have namespaces of its own; its next child is the first process in that of processes.

    Both keep the rights that `enter_new_root` needs until `drop_privileges`.

    Raises:
        OSError: the machine does not allow it.
    """
    flags, user, group = sum(_CLONE_NEW.values()), os.geteuid(), os.getegid()
    if user:
        flags |= _CLONE_NEWUSER
    _check(_libc.unshare(flags))
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def enter_new_root(folder: str, disk_bytes: int) -> None:
    """Leave the file system but for `_visible` and, in memory, `FOLDER`, which is made the working folder.

    Raises:
        OSError: the machine does not allow it.
    """
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    _mount("tmpfs", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for path in _visible():
        target = folder + path
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        if Path(path).is_symlink():
            Path(target).symlink_to(Path(path).readlink())
            continue
        if Path(path).is_dir():
            Path(target).mkdir(exist_ok=True)
        else:
            Path(target).touch()
        _mount(path, target, None, _MS_BIND | _MS_REC)
    for name in (FOLDER, "/proc"):
        Path(folder + name).mkdir()
    _mount("tmpfs", folder + FOLDER, "tmpfs", _MS_NOSUID | _MS_NODEV, f"size={disk_bytes},mode=1777")
    with suppress(OSError):  # not in a container that hides parts of its own; then there is none
        _mount("proc", f"{folder}/proc", "proc", _MS_NOSUID | _MS_NODEV)
    os.chdir(folder)
    _check(_libc.syscall(_PIVOT_ROOT[platform.machine()], b".", b"."))
    _check(_libc.umount2(b".", _MNT_DETACH))
    _set_read_only("/", everywhere=True, on=True)
    _set_read_only(FOLDER, everywhere=False, on=False)
    os.chdir(FOLDER)


def drop_privileges(user: int) -> None:
    """Give up all that this process may do beyond what `user` may: of root its identity, of others capabilities."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    else:
        header = struct.pack("Ii", _CAPABILITY_VERSION, 0)
        _check(_libc.capset(header, bytes(24)))
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))


def hold_folders(folders: list[str], first: int) -> dict[str, str]:
    """Other names of `folders`, by which this process and its children reach them whatever folders are above them.

    What is inside keeps its own permissions. The descriptors are numbered from `first`.
    """
    names = {}
    for folder in filter(os.path.isdir, folders):
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        kept = fcntl.fcntl(descriptor, fcntl.F_DUPFD, first)
        os.close(descriptor)
        names[folder] = f"/proc/self/fd/{kept}"
    return names


def end_with_parent() -> None:
    """Be killed when the parent ends; children that lose theirs become this process's."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def limit(kind: int, value: int) -> None:
    """Set a limit that cannot be raised again, at most what it is."""
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def tasks_of(user: int) -> int:
    """Threads that `user` runs now, which a limit on processes counts."""
    found = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                if folder.stat().st_uid == user:
                    found += len(list((folder / "task").iterdir()))
    return found


def refuse_system_calls() -> bool:
    """Let this process and its children open no sockets to elsewhere, signal not everyone and call none of `_REFUSED`.

    Returns:
        Whether the machine can do so.
    """
    machine = platform.machine()
    if machine not in _AUDIT_ARCH:
        return False
    allow: Rule = (_RETURN, 0x7FFF0000, 0, 0)
    refuse: Rule = (_RETURN, 0x00050000 | errno.EPERM, 0, 0)
    end: Rule = (_RETURN, 0x80000000, 0, 0)
    rules = [_load(4), *_unless(_EQUALS, _AUDIT_ARCH[machine], [end]), _load(0)]
    if machine == "x86_64":
        rules += _if(_AT_LEAST, _X32, [refuse])
    for number in _REFUSED[machine]:
        rules += _if(_EQUALS, number, [refuse])
    for number in _SOCKET[machine]:
        rules += _if(_EQUALS, number, [_load(16), *_if(_EQUALS, _AF_UNIX, [allow]), refuse])
    rules += _if(_EQUALS, _KILL[machine], [_load(16), *_if(_EQUALS, 0xFFFFFFFF, [refuse]), allow])
    rules.append(allow)
    program = b"".join(struct.pack("HBBI", code, held, failed, value) for code, value, held, failed in rules)
    buffer = ctypes.create_string_buffer(program, len(program))
    filter_ = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(buffer))
    return bool(_libc.prctl(_PR_SET_SECCOMP, 2, filter_, 0, 0) == 0)


def _load(offset: int) -> Rule:
    """Look at 4 bytes of the call: its number (0), the architecture (4), the lower half of the first argument (16)."""
    return (_LOAD, offset, 0, 0)


def _if(jump: int, value: int, then: list[Rule]) -> list[Rule]:
    return [(jump, value, 0, len(then)), *then]


def _unless(jump: int, value: int, then: list[Rule]) -> list[Rule]:
    return [(jump, value, len(then), 0), *then]


def _visible() -> list[str]:
    """What the new file system shows of the old: libraries, the interpreter, and devices without a state."""
    system = ["/usr", "/bin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache"]
    devices = [f"/dev/{name}" for name in ("null", "zero", "random", "urandom")]
    shown: list[str] = []
    for path in [*system, *devices, sys.base_prefix, sys.prefix]:
        if Path(path).exists() and not any(Path(path).is_relative_to(known) for known in shown):
            shown.append(path)
    return shown


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    texts = [text.encode() if text is not None else None for text in (source, target, kind, options)]
    _check(_libc.mount(*texts[:3], ctypes.c_ulong(flags), texts[3]))


def _set_read_only(path: str, *, everywhere: bool, on: bool) -> None:
    change = (_MOUNT_ATTR_RDONLY, 0) if on else (0, _MOUNT_ATTR_RDONLY)
    attributes = struct.pack("QQQQ", *change, 0, 0)
    flags = _AT_RECURSIVE if everywhere else 0
    _check(_libc.syscall(_MOUNT_SETATTR, _AT_FDCWD, path.encode(), flags, attributes, len(attributes)))


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
