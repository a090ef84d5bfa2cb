//! The program: passes its arguments to the command line and exits with its code.

#![forbid(unsafe_code)]

/// A storm of alerts allocates and frees small objects on every thread. With jemalloc this costs a tenth less than with the
/// system's allocator. Its options are in `malloc_conf.c`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> runbook::surface::exit::Exit {
    runbook::surface::cli::run(std::env::args_os())
}
