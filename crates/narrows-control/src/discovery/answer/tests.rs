use super::super::dns_server::{address, alias, name, server_of, service, soa};
use super::*;
use hickory_proto::op::OpCode;
use proptest::prelude::*;

fn message(records: Vec<Record>) -> Message {
    let mut message = Message::response(1, OpCode::Query);
    message.add_answers(records);
    message
}

fn asked(of: &str, kind: RecordType) -> Query {
    Query::query(name(of), kind)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn found(reading: Reading) -> (Vec<String>, Duration) {
    match reading {
        Reading::Answer(Answer::Found { what, ttl }) => (what.iter().map(ToString::to_string).collect(), ttl),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_shortest_ttl_of_all_records_counts() {
    let records = vec![address("a.test", 60, "10.0.0.1"), address("a.test", 20, "10.0.0.2")];
    let (what, ttl) = found(read(&message(records), &asked("a.test", RecordType::A)));
    assert_eq!(what, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(ttl, seconds(20));
}

#[test]
fn aliases_are_followed_within_the_message_and_their_ttl_counts() {
    let records =
        vec![address("c.test", 60, "10.0.0.1"), alias("b.test", 5, "c.test"), alias("a.test", 30, "b.test")];
    let (what, ttl) = found(read(&message(records), &asked("A.test", RecordType::A)));
    assert_eq!((what, ttl), (vec!["10.0.0.1".to_owned()], seconds(5)));
}

#[test]
fn a_service_may_be_an_alias() {
    let records = vec![
        alias("_x._tcp.a.test", 30, "_x._tcp.b.test"),
        service("_x._tcp.b.test", 60, (1, 2, 3), "c.test"),
    ];
    let (what, _) = found(read(&message(records), &asked("_x._tcp.a.test", RecordType::SRV)));
    assert_eq!(what, ["1 2 3 c.test."]);
}

#[test]
fn an_alias_without_more_is_to_be_asked_for() {
    let reading = read(&message(vec![alias("a.test", 30, "b.test")]), &asked("a.test", RecordType::A));
    assert_eq!(reading, Reading::Alias { name: name("b.test"), ttl: seconds(30) });
}

#[test]
fn records_of_other_names_are_passed_over() {
    let records = vec![address("b.test", 60, "10.0.0.1")];
    let reading = read(&message(records), &asked("a.test", RecordType::A));
    assert!(matches!(reading, Reading::Answer(Answer::Nothing { .. })), "{reading:?}");
}

#[test]
fn a_negative_answer_holds_as_long_as_its_soa_says() {
    let mut answer = message(Vec::new());
    answer.metadata.response_code = ResponseCode::NXDomain;
    let (why, question) = ("there is no such name", asked("a.test", RecordType::A));
    assert_eq!(read(&answer, &question), Reading::Answer(Answer::Nothing { why, ttl: None }));
    answer.add_authority(soa(7));
    assert_eq!(read(&answer, &question), Reading::Answer(Answer::Nothing { why, ttl: Some(seconds(7)) }));
}

#[test]
fn a_referral_is_no_negative_answer() {
    let mut answer = message(Vec::new());
    answer.add_authority(server_of("test"));
    let reading = read(&answer, &asked("a.test", RecordType::A));
    assert!(matches!(reading, Reading::Answer(Answer::Failed { .. })), "{reading:?}");
}

#[test]
fn an_error_is_no_negative_answer() {
    for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::Unknown(4000)] {
        let mut answer = message(vec![address("a.test", 60, "10.0.0.1")]);
        answer.metadata.response_code = code;
        let reading = read(&answer, &asked("a.test", RecordType::A));
        assert!(matches!(reading, Reading::Answer(Answer::Failed { .. })), "{reading:?}");
    }
}

#[test]
fn aliases_in_a_circle_end() {
    let records = vec![alias("a.test", 30, "b.test"), alias("b.test", 30, "a.test")];
    let reading = read(&message(records), &asked("a.test", RecordType::A));
    assert!(matches!(reading, Reading::Answer(Answer::Failed { .. })), "{reading:?}");
}

#[test]
fn a_ttl_with_its_first_bit_set_is_none() {
    let (_, ttl) =
        found(read(&message(vec![address("a.test", u32::MAX, "10.0.0.1")]), &asked("a.test", RecordType::A)));
    assert_eq!(ttl, Duration::ZERO);
}

proptest! {
    #[test]
    fn bytes_from_strangers_never_panic(bytes: Vec<u8>, rest: Vec<u8>) {
        let question = asked("a.test", RecordType::SRV);
        let mut answer = message(vec![service("a.test", 1, (1, 2, 3), "b.test"), alias("a.test", 1, "b.test")]);
        answer.add_query(question.clone());
        let good = answer.to_vec().expect("it can be written");
        // Noise alone, and noise over a good message.
        let mixed: Vec<u8> = (0..good.len().max(rest.len()))
            .map(|at| rest.get(at).filter(|byte| **byte != 0).or(good.get(at)).copied().unwrap_or(0))
            .collect();
        for bytes in [bytes, mixed] {
            if let Ok(message) = Message::from_vec(&bytes) {
                let _ = read(&message, &question);
            }
        }
    }
}
