//! The program: hands what was typed to the command line and ends with its code.

#![forbid(unsafe_code)]

/// A storm of alerts makes and frees small things on every thread, which costs a tenth less with this one. Its options are in
/// `malloc_conf.c`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> runbook::surface::exit::Exit {
    runbook::surface::cli::run(std::env::args_os())
}
