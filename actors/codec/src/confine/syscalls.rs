//! The allowed system calls: memory, threads, time, and a socket that is open already.
//!
//! All others return `EPERM`, so that a library that can do without one continues. No call is allowed that makes a descriptor, names a
//! path, starts a program or touches another process, and no executable memory.

use std::collections::BTreeMap;
use std::io;

use jetreel_domain::codec::wire::SOCKET_FD;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Allowed with any arguments.
const ALLOWED: [i64; 32] = [
    libc::SYS_read,
    libc::SYS_write,
    // Final messages of the C library.
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    // For a process that was stopped and continues.
    libc::SYS_restart_syscall,
    libc::SYS_futex,
    libc::SYS_membarrier,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sysinfo,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Flags of `clone` with the values of a thread of this process.
const NEW_NAMESPACES: i32 = libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET;

/// Installs the filters.
pub(super) fn restrict() -> io::Result<()> {
    // Built before the first one is in force. Building needs only memory, but may fail.
    let (first, second) =
        (no_clone3().map_err(io::Error::other)?, allow_list().map_err(io::Error::other)?);
    for program in [first, second] {
        seccompiler::apply_filter_all_threads(&program).map_err(io::Error::other)?;
    }
    Ok(())
}

/// The arguments of `clone3` are in memory, where no filter can read them. It returns `ENOSYS`, so that the C library falls back to
/// `clone`. This needs its own filter, because a filter has one answer for all denied calls.
fn no_clone3() -> Result<BpfProgram, seccompiler::Error> {
    let rules = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let refused = SeccompAction::Errno(libc::ENOSYS as u32);
    compile(rules, SeccompAction::Allow, refused)
}

fn allow_list() -> Result<BpfProgram, seccompiler::Error> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        ALLOWED.into_iter().map(|call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_clone3, Vec::new());
    let thread = libc::CLONE_THREAD as u64;
    let clone = mask(0, thread | NEW_NAMESPACES as u64, thread)?;
    rules.insert(libc::SYS_clone, vec![rule([clone])?]);
    // No executable memory.
    for call in [libc::SYS_mmap, libc::SYS_mprotect] {
        rules.insert(call, vec![rule([mask(2, libc::PROT_EXEC as u64, 0)?])?]);
    }
    // Only reading its own limits.
    rules.insert(libc::SYS_prlimit64, vec![rule([is(0, 0)?, is_null(2)?])?]);
    // Only signalling itself.
    rules.insert(libc::SYS_tgkill, vec![rule([is(0, u64::from(std::process::id()))?])?]);
    // The open socket, without an address.
    let socket = SOCKET_FD as u64;
    rules.insert(libc::SYS_recvfrom, vec![rule([is(0, socket)?])?]);
    rules.insert(libc::SYS_sendto, vec![rule([is(0, socket)?, is_null(4)?])?]);
    compile(rules, SeccompAction::Errno(libc::EPERM as u32), SeccompAction::Allow)
}

fn compile(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<BpfProgram, seccompiler::Error> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH)?;
    Ok(SeccompFilter::new(rules, otherwise, matched, architecture)?.try_into()?)
}

fn rule<const N: usize>(
    conditions: [SeccompCondition; N],
) -> Result<SeccompRule, seccompiler::Error> {
    Ok(SeccompRule::new(conditions.to_vec())?)
}

/// The 32-bit argument has this value.
fn is(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::Error> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)?)
}

/// The argument is a null pointer.
fn is_null(argument: u8) -> Result<SeccompCondition, seccompiler::Error> {
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)?)
}

/// These bits of the argument have this value.
fn mask(argument: u8, bits: u64, value: u64) -> Result<SeccompCondition, seccompiler::Error> {
    let operator = SeccompCmpOp::MaskedEq(bits);
    Ok(SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?)
}
