//! The shipped shop and the demo: what newcomers and the first customer get.

use std::ffi::OsString;
use std::sync::Arc;

use runbook::clock::SystemClock;
use runbook::surface::demo::stage::{Ground, Stage};

fn ground(directory: &tempfile::TempDir) -> Ground {
    let service: Vec<OsString> = vec![env!("CARGO_BIN_EXE_runbook").into(), "demo-service".into()];
    Ground { directory: directory.path().to_owned(), service, clock: Arc::new(SystemClock) }
}

#[test]
fn the_demos_shop_comes_up_and_goes_away() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stage = Stage::build(ground(&directory)).await.expect("the stage is built");
        eprintln!(
            "{:?} {}",
            stage.missing(),
            std::fs::read_to_string(directory.path().join("runbooks/estate.yaml")).unwrap()
        );
        stage.break_it().expect("it breaks");
        stage.strike().await.expect("nothing is left");
    });
}
