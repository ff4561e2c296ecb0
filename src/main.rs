//! The program `jetreel`: see [`jetreel::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    jetreel_actors::crash::arm();
    jetreel::cli::main()
}
