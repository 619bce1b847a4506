//! Real databases behind a layer-4 listener.

use std::process::Command;
use std::thread;

use narrows_conformance::servers::mariadb::{self, Mariadb};
use narrows_conformance::servers::postgres::{self, Postgres};
use narrows_conformance::{Narrows, Setup, output_of};

fn psql(narrows: &Narrows, sql: &str) -> String {
    output_of(postgres::client("psql", narrows.port("tcp")).args([
        "-v",
        "ON_ERROR_STOP=1",
        "-Atqc",
        sql,
        "postgres",
    ]))
}

fn mariadb(narrows: &Narrows, sql: &str) -> String {
    output_of(mariadb::client(narrows.port("tcp")).args(["-e", sql]))
}

#[test]
fn psql_works_through_the_proxy() {
    let postgres = Postgres::start();
    let narrows = Setup::tcp(&postgres, "").start();
    assert_eq!(psql(&narrows, "select 6 * 7").trim(), "42");
    psql(
        &narrows,
        "create table t (id int primary key, v text); insert into t select g, 'v' || g from generate_series(1, 50000) g",
    );
    assert_eq!(psql(&narrows, "select count(*), sum(id) from t").trim(), "50000|1250025000");
    let large = psql(&narrows, "select string_agg(v, ',' order by id) from t");
    assert_eq!(large.trim().split(',').count(), 50000);
    let error =
        postgres::client("psql", narrows.port("tcp")).args(["-c", "select nonsense", "postgres"]).output();
    let error = String::from_utf8_lossy(&error.unwrap().stderr).into_owned();
    assert!(error.contains("column \"nonsense\" does not exist"), "the server's own error: {error}");
}

#[test]
fn load_pgbench_runs_without_a_failed_transaction() {
    let postgres = Postgres::start();
    let narrows = Setup::tcp(&postgres, "").workers(2).start();
    let pgbench = |arguments: &[&str]| {
        let mut command = postgres::client("pgbench", narrows.port("tcp"));
        output_of(command.args(arguments).arg("postgres"))
    };
    pgbench(&["-i", "-q", "-s", "1"]);
    let report = pgbench(&["-c", "8", "-j", "2", "-T", "5"]);
    assert!(report.contains("number of failed transactions: 0"), "{report}");
    let count =
        report.lines().find_map(|line| line.strip_prefix("number of transactions actually processed: "));
    assert!(count.and_then(|count| count.parse::<u64>().ok()).is_some_and(|count| count > 0), "{report}");
    let connects = pgbench(&["-C", "-S", "-c", "4", "-T", "3"]);
    assert!(
        connects.contains("number of failed transactions: 0"),
        "a connection per transaction: {connects}"
    );
}

#[test]
fn load_a_copy_of_many_megabytes_arrives_whole() {
    let postgres = Postgres::start();
    let narrows = Setup::tcp(&postgres, "").start();
    psql(&narrows, "create table bulk (id int, v text)");
    let rows = (0..400_000).map(|id| format!("{id}\t{}\n", "x".repeat(100))).collect::<String>();
    let path = narrows.folder.write("rows", rows);
    let copy = format!("\\copy bulk from '{path}'");
    output_of(postgres::client("psql", narrows.port("tcp")).args([
        "-v",
        "ON_ERROR_STOP=1",
        "-qc",
        &copy,
        "postgres",
    ]));
    assert_eq!(psql(&narrows, "select count(*), sum(length(v)) from bulk").trim(), "400000|40000000");
    let sum = output_of(postgres::client("psql", narrows.port("tcp")).args([
        "-qAtc",
        "copy (select id from bulk order by id) to stdout",
        "postgres",
    ]));
    assert_eq!(sum.lines().count(), 400_000);
}

#[test]
fn mariadb_works_through_the_proxy() {
    let server = Mariadb::start();
    let narrows = Setup::tcp(&server, "").start();
    assert_eq!(mariadb(&narrows, "select 6 * 7").trim(), "42");
    mariadb(
        &narrows,
        "create table t (id int primary key, v text); insert into t select seq, concat('v', seq) from seq_1_to_50000",
    );
    assert_eq!(mariadb(&narrows, "select count(*), sum(id) from t").trim(), "50000\t1250025000");
    let large = mariadb(&narrows, "select repeat('x', 10000000)");
    assert_eq!(large.trim().len(), 10_000_000);
}

#[test]
fn load_many_mariadb_clients_work_at_once() {
    let server = Mariadb::start();
    let narrows = Setup::tcp(&server, "").workers(2).start();
    mariadb(&narrows, "create table t (n int) engine=innodb");
    let port = narrows.port("tcp");
    let clients = (0..8).map(|_| {
        thread::spawn(move || {
            for number in 0..10 {
                let sql = format!("insert into t values ({number})");
                output_of(mariadb::client(port).args(["-e", &sql]));
            }
        })
    });
    clients.collect::<Vec<_>>().into_iter().for_each(|client| client.join().unwrap());
    assert_eq!(mariadb(&narrows, "select count(*) from t").trim(), "80");
}

#[test]
fn two_databases_share_one_proxy() {
    let (first, second) = (Postgres::start(), Mariadb::start());
    let narrows = Setup::new()
        .upstream("postgres", &[&first])
        .upstream("mariadb", &[&second])
        .listener("tcp", "protocol: tcp\nupstream: postgres")
        .listener("other", "protocol: tcp\nupstream: mariadb")
        .start();
    assert_eq!(psql(&narrows, "select 1").trim(), "1");
    let answer = output_of(mariadb::client(narrows.port("other")).args(["-e", "select 2"]));
    assert_eq!(answer.trim(), "2");
    drop(first);
    let mut command: Command = postgres::client("psql", narrows.port("tcp"));
    assert!(
        !command.args(["-c", "select 1"]).output().unwrap().status.success(),
        "a dead database is an error"
    );
    let answer = output_of(mariadb::client(narrows.port("other")).args(["-e", "select 3"]));
    assert_eq!(answer.trim(), "3", "and the other one goes on");
}
