//! Sends named outputs to the parent in frames of bounded size.

use jetreel_domain::codec::wire::{FromCodec, OUTPUT_BYTES};

use crate::failure::Outcome;
use crate::link::Link;

/// An output that is written from its first byte to its last.
pub(crate) struct Outlet<'a> {
    link: &'a Link,
    name: &'a str,
    buffer: Vec<u8>,
    written: u64,
}

impl<'a> Outlet<'a> {
    /// An empty output `name`.
    pub(crate) fn new(link: &'a Link, name: &'a str) -> Self {
        Self { link, name, buffer: Vec::with_capacity(OUTPUT_BYTES), written: 0 }
    }

    /// Sends a whole output.
    pub(crate) fn whole(link: &'a Link, name: &'a str, bytes: &[u8]) -> Outcome<()> {
        let mut outlet = Self::new(link, name);
        outlet.write(bytes)?;
        outlet.finish()
    }

    /// Appends bytes.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Outcome<()> {
        self.written += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = OUTPUT_BYTES - self.buffer.len();
            let (head, rest) = bytes.split_at(room.min(bytes.len()));
            self.buffer.extend_from_slice(head);
            bytes = rest;
            if self.buffer.len() == OUTPUT_BYTES {
                self.send(false)?;
            }
        }
        Ok(())
    }

    /// Number of bytes written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Sends the rest and closes the output.
    pub(crate) fn finish(mut self) -> Outcome<()> {
        self.send(true)
    }

    fn send(&mut self, end: bool) -> Outcome<()> {
        let bytes = std::mem::replace(&mut self.buffer, Vec::with_capacity(OUTPUT_BYTES));
        let name = self.name.to_owned();
        self.link.send(&FromCodec::Output { name, bytes: bytes.into(), end })
    }
}
