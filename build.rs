//! Compiles the allocator's options into the program, and warns if SQLite is compiled without its flags.

#![expect(clippy::disallowed_methods, reason = "Cargo passes options to a build script in the environment")]

use std::env;

/// Defines `malloc_conf`, which jemalloc reads before the first allocation.
const ALLOCATOR: &str = "src/malloc_conf.c";

fn main() {
    println!("cargo:rerun-if-changed={ALLOCATOR}");
    // As objects: the linker would skip a library, since jemalloc has a weak definition of `malloc_conf`.
    for object in cc::Build::new().file(ALLOCATOR).compile_intermediates() {
        println!("cargo:rustc-link-arg-bins={}", object.display());
    }
    println!("cargo:rerun-if-env-changed=LIBSQLITE3_FLAGS");
    if !env::var("LIBSQLITE3_FLAGS").is_ok_and(|flags| flags.contains("HAVE_FDATASYNC")) {
        println!(
            "cargo:warning=SQLite is compiled without the flags of .cargo/config.toml; see \"Install\" in README.md"
        );
    }
}
