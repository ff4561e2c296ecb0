//! The socket to the parent: framed MessagePack, blocking, one outstanding read.
//!
//! Invariants: a fault of the link is remembered, so that a libav call that failed because of it is never mistaken for damage of the
//! source. After a fault nothing more is sent or read.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jetreel_domain::codec::wire::{
    CodecFailure, FRAME_BYTES_MAX, FailureCode, FromCodec, Job, SOCKET_FD, ToCodec,
};
use jetreel_domain::words::reason::WorkFault;

use crate::failure::{Outcome, failure, failure_with};

/// The codec's end of the socket. Clones share it.
#[derive(Clone)]
pub(crate) struct Link(Arc<Mutex<Wire>>);

struct Wire {
    socket: UnixStream,
    fault: Option<CodecFailure>,
}

impl Link {
    /// Takes the inherited descriptor. Call it once.
    pub(crate) fn inherited() -> Self {
        #[expect(
            unsafe_code,
            reason = "the parent passes this descriptor for this very purpose, and nothing else owns it"
        )]
        let descriptor = unsafe { OwnedFd::from_raw_fd(SOCKET_FD) };
        Self::new(UnixStream::from(descriptor))
    }

    /// A link over a connected socket.
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self(Arc::new(Mutex::new(Wire { socket, fault: None })))
    }

    /// Sends one frame.
    pub(crate) fn send(&self, message: &FromCodec) -> Outcome<()> {
        self.wire().exchange(|wire| wire.send(message))
    }

    /// Sends the last frame, also after a refused read. Never sends to a parent that violated the protocol.
    pub(crate) fn last_word(&self, message: &FromCodec) -> Outcome<()> {
        let mut wire = self.wire();
        match &wire.fault {
            Some(fault) if fault.code == FailureCode::Protocol => Err(fault.clone()),
            _ => wire.send(message),
        }
    }

    /// Waits for the job.
    pub(crate) fn job(&self) -> Outcome<Job> {
        self.wire().exchange(|wire| match wire.receive()? {
            ToCodec::Job(job) => Ok(*job),
            ToCodec::Bytes(_) | ToCodec::NoBytes => Err(protocol("bytes came before a job")),
        })
    }

    /// Bytes of an object: as many as requested, fewer only at its end. At the end nothing may be requested.
    pub(crate) fn read(&self, object: u32, offset: u64, length: u32) -> Outcome<Vec<u8>> {
        self.wire().exchange(|wire| {
            wire.send(&FromCodec::Read { object, offset, length })?;
            match wire.receive()? {
                ToCodec::Bytes(bytes) if bytes.is_empty() && length > 0 => {
                    Err(protocol("no bytes came, of an object that has some left"))
                }
                ToCodec::Bytes(bytes) if bytes.len() <= length as usize => Ok(bytes.into_vec()),
                ToCodec::Bytes(_) => Err(protocol("more bytes came than were asked for")),
                ToCodec::NoBytes => Err(failure(WorkFault::SourceUnavailable)),
                ToCodec::Job(_) => Err(protocol("a second job came")),
            }
        })
    }

    /// The fault that ended the link, if there is one. It explains all later errors of libav.
    pub(crate) fn fault(&self) -> Outcome<()> {
        self.wire().fault.clone().map_or(Ok(()), Err)
    }

    fn wire(&self) -> MutexGuard<'_, Wire> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wire {
    fn exchange<T>(&mut self, action: impl FnOnce(&mut Self) -> Outcome<T>) -> Outcome<T> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let result = action(self);
        if let Err(fault) = &result {
            self.fault = Some(fault.clone());
        }
        result
    }

    fn send(&mut self, message: &FromCodec) -> Outcome<()> {
        let body = rmp_serde::to_vec_named(message)
            .map_err(|error| protocol(&format!("failed to write a frame: {error}")))?;
        if body.len() > FRAME_BYTES_MAX {
            return Err(protocol(&format!("a frame of {} bytes is too large", body.len())));
        }
        let length = (body.len() as u32).to_be_bytes();
        self.socket
            .write_all(&length)
            .and_then(|()| self.socket.write_all(&body))
            .map_err(|error| vanished(&error))
    }

    fn receive(&mut self) -> Outcome<ToCodec> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).map_err(|error| vanished(&error))?;
        let length = u32::from_be_bytes(length) as usize;
        if length > FRAME_BYTES_MAX {
            return Err(protocol(&format!("a frame of {length} bytes is too large")));
        }
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).map_err(|error| vanished(&error))?;
        rmp_serde::from_slice(&body)
            .map_err(|error| protocol(&format!("failed to understand a frame: {error}")))
    }
}

/// The failure of a parent that violates the protocol.
pub(crate) fn protocol(detail: &str) -> CodecFailure {
    failure_with(WorkFault::Abandoned, detail)
}

fn vanished(error: &std::io::Error) -> CodecFailure {
    let gone = [ErrorKind::UnexpectedEof, ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    if gone.contains(&error.kind()) {
        protocol("the parent closed the socket")
    } else {
        protocol(&format!("failed to use the socket: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(mut parent: &UnixStream, message: &ToCodec) {
        let body = rmp_serde::to_vec_named(message).unwrap();
        parent.write_all(&(body.len() as u32).to_be_bytes()).unwrap();
        parent.write_all(&body).unwrap();
    }

    #[test]
    fn a_source_that_cannot_be_had_is_told_apart_from_its_end() {
        let (codec, parent) = UnixStream::pair().unwrap();
        let link = Link::new(codec);
        answer(&parent, &ToCodec::Bytes(serde_bytes::ByteBuf::from(vec![7])));
        assert_eq!(link.read(0, 10, 5).unwrap(), [7]);
        assert!(link.fault().is_ok());
        answer(&parent, &ToCodec::NoBytes);
        assert_eq!(link.read(0, 10, 5).unwrap_err().code, FailureCode::SourceUnavailable);
        assert_eq!(link.fault().unwrap_err().code, FailureCode::SourceUnavailable);
        assert!(link.last_word(&FromCodec::Failed(link.fault().unwrap_err())).is_ok());
    }

    #[test]
    fn a_parent_that_vanishes_is_a_protocol_failure_for_good() {
        let (codec, parent) = UnixStream::pair().unwrap();
        let link = Link::new(codec);
        drop(parent);
        assert_eq!(link.job().unwrap_err().code, FailureCode::Protocol);
        assert_eq!(link.read(0, 0, 1).unwrap_err().code, FailureCode::Protocol);
    }

    #[test]
    fn more_bytes_than_asked_for_are_refused() {
        let (codec, parent) = UnixStream::pair().unwrap();
        let link = Link::new(codec);
        answer(&parent, &ToCodec::Bytes(serde_bytes::ByteBuf::from(vec![0; 6])));
        assert_eq!(link.read(0, 0, 5).unwrap_err().code, FailureCode::Protocol);
    }
}
