//! Checks the cases whose names are given, those of the tests (`--small`), or all of them, and prints
//! how large they are: also those that are too large for the tests.

#![expect(clippy::print_stdout, reason = "it is a program that prints")]

use std::process::ExitCode;

use jetsaga_model::{cases, check};

fn main() -> ExitCode {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let is_small = names.first().is_some_and(|first| first == "--small");
    let mut setups: Vec<_> = cases::small().into_iter().map(|(setup, _)| setup).collect();
    if is_small {
        names.remove(0);
    } else {
        setups.extend(cases::large());
    }
    // A name that is no case's would check nothing, and call that good.
    if let Some(wrong) = names.iter().find(|name| !setups.iter().any(|it| it.name == **name)) {
        let known: Vec<&str> = setups.iter().map(|setup| setup.name).collect();
        eprintln!("there is no case {wrong:?}; there are: {}", known.join("; "));
        return ExitCode::FAILURE;
    }
    let mut is_good = true;
    for setup in setups {
        if names.is_empty() || names.iter().any(|name| name == setup.name) {
            let outcome = check::check(setup);
            println!("{outcome}");
            is_good &= outcome.is_good();
        }
    }
    if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
