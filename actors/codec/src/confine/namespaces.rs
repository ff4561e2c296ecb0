//! Own namespaces with an empty root and a network that leads nowhere.

use std::io;
// Addresses are plain values; nothing here uses the network of the standard library.
use core::net::{Ipv4Addr, SocketAddrV4};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::net::{AddressFamily, SocketType};
use rustix::process::{chdir, pivot_root};
use rustix::thread::UnshareFlags;

/// Folders to mount the new root on. Every container has one of them.
const PLACES: [&str; 5] = ["/proc", "/tmp", "/dev", "/sys", "/run"];

/// Options of an empty file system.
const EMPTY: &core::ffi::CStr = c"size=4k,nr_inodes=2,mode=555";

/// An address without a listener that still has a route if there is a network.
pub(super) const NOWHERE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9);

/// Enters namespaces and leaves every file behind. Returns whether the user namespace is its own too.
pub(super) fn enter() -> io::Result<bool> {
    let own_user = leave()?;
    empty_root()?;
    verify()?;
    Ok(own_user)
}

/// One call, so that it happens completely or not at all. A machine without user namespaces may still grant the others to a privileged
/// process.
fn leave() -> io::Result<bool> {
    let others = UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWNS
        | UnshareFlags::NEWCGROUP;
    match unshare(others | UnshareFlags::NEWUSER) {
        Ok(()) => Ok(true),
        Err(refused) => unshare(others).map(|()| false).map_err(|_| refused.into()),
    }
}

fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    #[expect(unsafe_code, reason = "the table of descriptors is not among the flags")]
    unsafe {
        rustix::thread::unshare_unsafe(flags)
    }
}

fn empty_root() -> io::Result<()> {
    let flags = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags)?;
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mount = |place| rustix::mount::mount("none", place, "tmpfs", flags, EMPTY);
    let place = PLACES.into_iter().find(|place| mount(*place).is_ok());
    chdir(place.ok_or(Errno::NOENT)?)?;
    pivot_root(".", ".")?;
    // The old root is on top of the new one now.
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}

/// Attempts what the namespaces must prevent.
fn verify() -> io::Result<()> {
    let file = rustix::fs::open("/proc/self/stat", OFlags::RDONLY, Mode::empty());
    if file.err() != Some(Errno::NOENT) {
        return Err(io::Error::other("files are still there"));
    }
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    if rustix::net::connect(&socket, &NOWHERE).is_ok() {
        return Err(io::Error::other("the network is still there"));
    }
    Ok(())
}
