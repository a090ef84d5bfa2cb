//! The restore drill against a real PostgreSQL.

use std::process::Command;

use super::house::House;
use crate::real::postgres::Postgres;
use crate::real::run;

const TABLES: &str = "create schema stock; create table orders (id int primary key, state text); create table stock.items (id int);
    insert into orders select n, 'paid' from generate_series(1, 1000) n; insert into stock.items select n from generate_series(1, 40) n";

const SCRATCH: &str = "select count(*) from pg_database where datname like 'restore_drill%'";

fn shop() -> (Postgres, House) {
    let postgres = Postgres::start();
    postgres.sql(TABLES);
    let house = House::with(&[]);
    house.secret(&format!("DATABASE_URL={}", postgres.url()));
    (postgres, house)
}

#[test]
fn a_dump_is_restored_counted_and_dropped() {
    let (postgres, house) = shop();
    house.start("quarterly-restore", "staging");
    assert_eq!(postgres.sql(SCRATCH), "0", "nobody has agreed yet");
    house.approve("restore");
    let verdict = &house.outcome("verdict")["output"];
    assert_eq!((verdict["tables"].as_i64(), verdict["rows"].as_i64()), (Some(2), Some(1040)), "{}", house.told());
    assert!(house.has_begun("drop"), "{}", house.told());
    house.is_over();
    assert_eq!(postgres.sql(SCRATCH), "0", "{}", house.told());
    let log = serde_json::to_string(&house.events("step_started")).unwrap() + &house.told();
    assert!(!log.contains(crate::real::postgres::PASSWORD), "no password is written down");
}

#[test]
fn a_backup_that_lacks_rows_is_found_out_and_dropped_all_the_same() {
    let (postgres, house) = shop();
    let dump = house.shown("backup.dump");
    postgres.sql("delete from orders where id > 100");
    let mut made = Command::new("pg_dump");
    made.args(["--format=custom", &format!("--file={dump}"), &postgres.url()]);
    run(&mut made, "postgresql-client");
    postgres
        .sql("insert into orders select n, 'paid' from generate_series(101, 1000) n; create table refunds (id int)");
    house.edit("backup_bucket: \"\"", "backup_bucket: pakashop-backups");
    house.program("aws", &format!(
        "case \"$1 $2\" in\n's3api list-objects-v2') echo '[{{\"Key\": \"staging/night.dump\", \"LastModified\": \"2026-11-20T01:00:00+00:00\", \"Size\": 4096}}]';;\n's3 cp') test \"$4\" = s3://pakashop-backups/staging/night.dump && cat {dump};;\nesac"
    ));
    house.start("quarterly-restore", "staging");
    house.approve("restore");
    let asked = house.asks("not_restored");
    assert!(
        asked.contains("public.orders: 100 of 1000 rows") && asked.contains("Tables that are missing: public.refunds"),
        "{asked}"
    );
    assert!(!asked.contains("stock.items"), "{asked}");
    house.answer("not_restored", "done");
    house.is_over();
    assert_eq!(postgres.sql(SCRATCH), "0");
}
