//! Checks the cases whose names are given, or all of them, and prints how large they are: also
//! those that are too large for the tests.

#![expect(clippy::print_stdout, reason = "it is a program that prints")]

use std::process::ExitCode;

use jetsaga_model::{cases, check};

fn main() -> ExitCode {
    let names: Vec<String> = std::env::args().skip(1).collect();
    let mut is_good = true;
    for setup in cases::small().into_iter().chain(cases::large()) {
        if !names.is_empty() && !names.iter().any(|name| name == setup.name) {
            continue;
        }
        let outcome = check::check(setup);
        println!("{outcome}");
        is_good &= outcome.is_good();
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
