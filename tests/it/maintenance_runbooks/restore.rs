//! The restore drill against a real PostgreSQL.

use std::process::Command;

use super::project::MaintenanceProject;
use crate::real::postgres::Postgres;
use crate::real::run;

const TABLES: &str = "create schema stock; create table orders (id int primary key, state text); create table stock.items (id int);
    insert into orders select n, 'paid' from generate_series(1, 1000) n; insert into stock.items select n from generate_series(1, 40) n";

const SCRATCH: &str = "select count(*) from pg_database where datname like 'restore_drill%'";

fn database_and_project() -> (Postgres, MaintenanceProject) {
    let postgres = Postgres::start();
    postgres.sql(TABLES);
    let project = MaintenanceProject::with(&[]);
    project.secret(&format!("DATABASE_URL={}", postgres.url()));
    (postgres, project)
}

#[test]
fn a_dump_is_restored_counted_and_dropped() {
    let (postgres, project) = database_and_project();
    project.start("quarterly-restore", "staging");
    assert_eq!(postgres.sql(SCRATCH), "0", "nobody has approved yet");
    project.approve("restore");
    let verdict = &project.outcome("verdict")["output"];
    assert_eq!((verdict["tables"].as_i64(), verdict["rows"].as_i64()), (Some(2), Some(1040)), "{}", project.timeline());
    assert!(project.has_started("drop"), "{}", project.timeline());
    project.assert_resolved();
    assert_eq!(postgres.sql(SCRATCH), "0", "{}", project.timeline());
    let log = serde_json::to_string(&project.events("step_started")).unwrap() + &project.timeline();
    assert!(!log.contains(crate::real::postgres::PASSWORD), "no password is recorded");
}

#[test]
fn a_backup_with_missing_rows_is_found_and_its_database_dropped() {
    let (postgres, project) = database_and_project();
    let dump = project.path_text("backup.dump");
    postgres.sql("delete from orders where id > 100");
    let mut made = Command::new("pg_dump");
    made.args(["--format=custom", &format!("--file={dump}"), &postgres.url()]);
    run(&mut made, "postgresql-client");
    postgres
        .sql("insert into orders select n, 'paid' from generate_series(101, 1000) n; create table refunds (id int)");
    project.edit("backup_bucket: \"\"", "backup_bucket: pakashop-backups");
    project.program("aws", &format!(
        "case \"$1 $2\" in\n's3api list-objects-v2') echo '[{{\"Key\": \"staging/night.dump\", \"LastModified\": \"2026-11-20T01:00:00+00:00\", \"Size\": 4096}}]';;\n's3 cp') test \"$4\" = s3://pakashop-backups/staging/night.dump && cat {dump};;\nesac"
    ));
    project.start("quarterly-restore", "staging");
    project.approve("restore");
    let asked = project.asks("not_restored");
    assert!(
        asked.contains("public.orders: 100 of 1000 rows") && asked.contains("Tables that are missing: public.refunds"),
        "{asked}"
    );
    assert!(!asked.contains("stock.items"), "{asked}");
    project.answer("not_restored", "done");
    project.assert_resolved();
    assert_eq!(postgres.sql(SCRATCH), "0");
}
