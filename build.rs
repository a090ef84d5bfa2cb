//! Compiles the allocator's options into the program, and says when SQLite is compiled without its own.

#![expect(
    clippy::disallowed_methods,
    reason = "Cargo and its user tell a build script in the environment what to build"
)]

use std::env;

/// What jemalloc reads before the first allocation.
const ALLOCATOR: &str = "src/malloc_conf.c";

fn main() {
    println!("cargo:rerun-if-changed={ALLOCATOR}");
    // As objects: of a library, the linker would take nothing, since jemalloc has a weak definition of its own.
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
