//! The program `jetreel`: see [`jetreel::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    jetreel::cli::main()
}
