//! The program: a guard of its private broker when called as one, else the command line.

use std::process::ExitCode;

use jetreel::bus::private::{GUARD, guard_main};

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|word| word == GUARD) {
        return guard_main(args);
    }
    ExitCode::SUCCESS
}
