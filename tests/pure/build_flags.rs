//! Build flags of the C libraries in the program, as the libraries report them.

use std::process::Command;

use runbook::actions::transport::process::output_detached;

#[test]
fn the_allocator_has_its_options() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runbook"));
    let printed = output_detached(command.arg("--version").env("_RJEM_MALLOC_CONF", "stats_print:true")).unwrap();
    let printed = String::from_utf8_lossy(&printed.stderr).into_owned();
    for option in ["opt.narenas: 1", "opt.dirty_decay_ms: 1000 ", "opt.muzzy_decay_ms: 0 ", "opt.tcache_max: 4096"] {
        assert!(
            printed.lines().any(|line| format!("{} ", line.trim()).contains(option)),
            "no `{option}` in:\n{printed}"
        );
    }
}

#[test]
fn sqlite_is_compiled_with_the_flags_of_the_configuration() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    let mut query = connection.prepare("SELECT compile_options FROM pragma_compile_options").unwrap();
    let options: Vec<String> = query.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let unwanted =
        ["ENABLE_MEMORY_MANAGEMENT", "ENABLE_FTS3", "ENABLE_FTS5", "ENABLE_RTREE", "SOUNDEX", "ENABLE_DBSTAT_VTAB"];
    let is_configured = options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0")
        && !options.iter().any(|option| unwanted.contains(&option.as_str()));
    assert!(is_configured, "build it with `LIBSQLITE3_FLAGS` as `.cargo/config.toml` has it; this one has {options:?}");
}

#[test]
fn the_guide_has_the_flags_of_the_configuration() {
    let configured = include_str!("../../.cargo/config.toml").lines().find(|line| line.starts_with("LIBSQLITE3_FLAGS"));
    let flags = configured.and_then(|line| line.split('"').nth(1)).unwrap();
    assert!(include_str!("../../README.md").contains(&format!("export LIBSQLITE3_FLAGS=\"{flags}\"")));
}
