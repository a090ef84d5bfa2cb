//! The program: hands what was typed to the command line and ends with its code.

fn main() -> runbook::surface::exit::Exit {
    runbook::surface::cli::run(std::env::args_os())
}
