//! A terminal that shows one frame after the other, and its keys.

use std::io::Read as _;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::cli::output;

/// Other screen, without a cursor.
const OPEN: &str = "\x1b[?1049h\x1b[?25l";
/// The screen of before, with a cursor.
const CLOSE: &str = "\x1b[?25h\x1b[?1049l";
/// Lines of a terminal whose size is not known.
const LINES: usize = 24;

/// The terminal. It is as before when this is dropped.
pub(super) struct Screen {
    before: Option<Termios>,
}

impl Screen {
    /// Switches to a screen of its own, where keys are neither shown nor held back until the end of a line.
    pub(super) fn open() -> Self {
        let before = tcgetattr(std::io::stdin()).ok();
        if let Some(mut modes) = before.clone() {
            modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            set(&modes);
        }
        output::terminal(OPEN);
        Self { before }
    }

    /// Replaces the frame, as far as it fits.
    pub(super) fn show(&self, frame: &str) {
        let size = tcgetwinsize(std::io::stdout()).ok();
        let lines = size.map(|size| usize::from(size.ws_row)).filter(|lines| *lines > 0);
        let columns = size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0);
        let text = fitted(frame, lines.unwrap_or(LINES), columns.unwrap_or(usize::MAX));
        output::terminal(&text);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        output::terminal(CLOSE);
        if let Some(before) = &self.before {
            set(before);
        }
    }
}

fn set(modes: &Termios) {
    if let Err(error) = tcsetattr(std::io::stdin(), OptionalActions::Now, modes) {
        tracing::debug!(%error, "the terminal keeps its modes");
    }
}

/// The frame from the first line of the screen on, with what was there before cleared.
fn fitted(frame: &str, lines: usize, columns: usize) -> String {
    let shown = output::shown(frame);
    let cut = |line: &str| line.chars().take(columns).collect::<String>();
    let kept: Vec<String> = shown.lines().take(lines).map(cut).collect();
    format!("\x1b[H{}\x1b[K\x1b[J", kept.join("\x1b[K\r\n"))
}

/// Keys that are pressed.
pub(super) struct Keys(UnboundedReceiver<u8>);

impl Keys {
    /// Reads keys on a thread of its own, which ends with the process.
    pub(super) fn listen() -> Self {
        let (tell, told) = unbounded_channel();
        std::thread::spawn(move || {
            let keys = std::io::stdin().lock().bytes().map_while(Result::ok);
            for key in keys {
                if tell.send(key).is_err() {
                    return;
                }
            }
        });
        Self(told)
    }

    /// Returns when q is pressed. Never returns if standard input has ended.
    pub(super) async fn quit(&mut self) {
        loop {
            match self.0.recv().await {
                Some(b'q' | b'Q') => return,
                Some(_) => {}
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_and_nothing_of_the_last_one_stays() {
        let text = fitted("abcdef\ngh\nij", 2, 4);
        assert_eq!(text, "\x1b[Habcd\x1b[K\r\ngh\x1b[K\x1b[J");
        let hostile = fitted("a\x1b[2Jb", 9, 9);
        assert_eq!(hostile, "\x1b[Ha[2Jb\x1b[K\x1b[J");
    }
}
