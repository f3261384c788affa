"""The system calls that agents may make: an allow-list, and what is refused within it by argument.

Two filters, as libseccomp cannot both allow a call and refuse some of its arguments; a process
gets both, and the stricter answer counts. What no list names fails with ENOSYS, as on a kernel
too old for it, so that programs fall back; what is refused on purpose fails with EPERM.
"""

import errno
import os
from functools import cache

import pyseccomp  # type: ignore[import-untyped]

from local.sandboxes.namespaces.syscalls import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)

_ALLOWED = """
accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
clock_getres clock_gettime clock_nanosleep clone close close_range connect copy_file_range creat dup dup2
dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd eventfd2 execve
execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown
fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync
ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64
getegid geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom
getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr
inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents
io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set kill landlock_add_rule landlock_create_ruleset
landlock_restrict_self lchown lgetxattr link linkat listen listxattr llistxattr lremovexattr lseek lsetxattr
lstat madvise membarrier memfd_create mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap
mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap msgctl msgget msgrcv
msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2 pause pidfd_open
pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv preadv2
prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg
recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_robust_list
get_robust_list set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid
setresgid setresuid setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown
sigaltstack signalfd signalfd4 socket socketpair splice stat statfs statx symlink symlinkat sync
sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink
unlinkat utime utimensat utimes vfork vmsplice wait4 waitid write writev
"""

_REFUSED = """
acct add_key bpf chroot clock_adjtime clock_settime delete_module fanotify_init finit_module fsconfig
fsmount fsopen fspick get_mempolicy init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl
kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages modify_ldt mount mount_setattr
move_mount move_pages name_to_handle_at nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd
pivot_root process_madvise process_vm_readv process_vm_writev ptrace quotactl quotactl_fd reboot request_key
set_mempolicy setdomainname sethostname setns settimeofday swapoff swapon syslog umount2 unshare userfaultfd
uselib ustat vhangup
"""

_NEW_NAMESPACES = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
)
_FAMILIES = {1: "unix", 2: "inet", 10: "inet6", 16: "netlink"}
_HIGHEST_FAMILY = 64  # Above any that Linux has; ones beyond would need a rule only if they came to exist.
_NETLINK, _NETLINK_ROUTE = 16, 0
_INT = 0xFFFF_FFFF  # These arguments are ints: the kernel ignores what the upper half of the register holds.
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # Type into, and paste from, somebody else's terminal.
_PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFF_FFFF)  # Linux, 32 bit, UNAME26, both, and "tell me".


@cache
def agent_filters() -> tuple[bytes, ...]:
    """Return the BPF programs that each agent process is put under."""
    return _allow_list(), _refusals()


def _allow_list() -> bytes:
    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.ENOSYS))
    for name in _ALLOWED.split():
        _add(rules, pyseccomp.ALLOW, name)
    for name in _REFUSED.split():
        _add(rules, pyseccomp.ERRNO(errno.EPERM), name)
    for value in _PERSONALITIES:
        _add(rules, pyseccomp.ALLOW, "personality", _equal(0, value))
    return _compile(rules)


def _refusals() -> bytes:
    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refuse = pyseccomp.ERRNO(errno.EPERM)
    for flag in (1 << bit for bit in range(32) if _NEW_NAMESPACES >> bit & 1):
        _add(rules, refuse, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    for request in (_TIOCSTI, _TIOCLINUX):
        _add(rules, refuse, "ioctl", _equal(1, request))
    # Only one's own limits: envd has threads of the agent's user, and a limit is its whole process's.
    _add(rules, refuse, "prlimit64", pyseccomp.Arg(0, pyseccomp.NE, 0))
    for family in set(range(_HIGHEST_FAMILY)) - set(_FAMILIES):
        for call in ("socket", "socketpair"):
            _add(rules, pyseccomp.ERRNO(errno.EAFNOSUPPORT), call, _equal(0, family))
    for protocol in range(1, 32):
        netlink = (_equal(0, _NETLINK), _equal(2, protocol))
        _add(rules, pyseccomp.ERRNO(errno.EPROTONOSUPPORT), "socket", *netlink)
    return _compile(rules)


def _equal(index: int, value: int) -> pyseccomp.Arg:
    return pyseccomp.Arg(index, pyseccomp.MASKED_EQ, _INT, value)


def _add(rules: pyseccomp.SyscallFilter, action: int, name: str, *arguments: pyseccomp.Arg) -> None:
    try:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    except (OSError, ValueError):
        return  # Not on this architecture, or younger than this libseccomp: then it is refused.
    if number >= 0:
        rules.add_rule(action, name, *arguments)


def _compile(rules: pyseccomp.SyscallFilter) -> bytes:
    with os.fdopen(os.memfd_create("seccomp"), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()
