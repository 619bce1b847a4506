use super::Summary;

const PRINTED: &str = "starting benchmark...
spawning thread #0: 4 total client(s). 10 total requests
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2
progress: 100% done

finished in 5.87ms, 1703.87 req/s, 1.81MB/s
requests: 10 total, 10 started, 10 done, 10 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 10 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 10.87KB (11130) total, 421B (421) headers (space savings 93.31%), 10.00KB (10240) data
                     min         max         mean         sd        +/- sd
time for request:      421us      1.51ms       853us       410us    70.00%
";

#[test]
fn what_h2load_prints_is_read() {
    let summary = Summary::read(PRINTED).expect("all lines are there");
    let expected = Summary {
        tls: "TLSv1.3".to_owned(),
        cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
        key_exchange: "X25519 253 bits".to_owned(),
        application: "h2".to_owned(),
        done: 10,
        succeeded: 10,
        ok: 10,
        data: 10_240,
    };
    assert_eq!(summary, expected);
    assert_eq!(summary.check(10, 1024), Ok(()));
}

#[test]
fn another_status_another_length_another_count_and_another_offer_are_wrong() {
    let wrong = |old: &str, new: &str| {
        let text = PRINTED.replacen(old, new, 1);
        assert_ne!(text, PRINTED);
        let summary = Summary::read(&text).expect("all lines are there");
        assert!(summary.check(10, 1024).is_err(), "{new}");
    };
    wrong("10 2xx, 0 3xx, 0 4xx", "9 2xx, 0 3xx, 1 4xx");
    wrong("(10240) data", "(10239) data");
    wrong("10 succeeded, 0 failed", "9 succeeded, 1 failed");
    wrong("10 done", "9 done");
    wrong("protocol: h2", "protocol: http/1.1");
    wrong("TLSv1.3", "TLSv1.2");
    wrong("_128_", "_256_");
    wrong("X25519 253", "ECDH P-256 256");
    assert!(Summary::read(PRINTED).expect("all lines").check(11, 1024).is_err());
}

#[test]
fn a_missing_line_is_an_error() {
    assert!(Summary::read("").is_err());
    let without = |start: &str| -> String {
        PRINTED.lines().filter(|line| !line.starts_with(start)).map(|line| format!("{line}\n")).collect()
    };
    for start in ["TLS Protocol", "Application protocol", "requests:", "status codes:", "traffic:"] {
        assert!(Summary::read(&without(start)).is_err(), "{start}");
    }
}
