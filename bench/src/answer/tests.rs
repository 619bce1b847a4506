use super::{Answer, Progress};
use crate::service::{SMALL, Service};
use crate::workload::{Exchange, Workload};

fn exchange() -> Exchange {
    Workload::Small64.exchanges().remove(0)
}

#[test]
fn the_right_answer_is_complete_however_it_is_cut() {
    let (exchange, bytes) = (exchange(), Service::ApiV1.answer(SMALL));
    for cut in 0..bytes.len() {
        let mut answer = Answer::default();
        assert!(answer.is_untouched());
        if cut > 0 {
            assert_eq!(answer.take(&bytes[..cut], &exchange), Ok(Progress::Incomplete), "cut at {cut}");
        }
        let done = answer.take(&bytes[cut..], &exchange);
        assert_eq!(done, Ok(Progress::Complete { closes: false }), "cut at {cut}");
        answer.reset();
        assert!(answer.is_untouched());
    }
}

#[test]
fn an_answer_of_another_service_is_wrong() {
    let wrong = Service::ApiV2.answer(SMALL);
    assert!(Answer::default().take(&wrong, &exchange()).is_err());
}

#[test]
fn one_changed_byte_a_byte_too_many_and_another_status_are_wrong() {
    let right = Service::ApiV1.answer(SMALL);
    let mut changed = right.clone();
    *changed.last_mut().expect("the answer has bytes") ^= 1;
    assert!(Answer::default().take(&changed, &exchange()).is_err());
    let longer = [right.as_slice(), b"x"].concat();
    assert!(Answer::default().take(&longer, &exchange()).is_err());
    let status = String::from_utf8(right).expect("the answer is text").replacen("200 OK", "502 Bad", 1);
    assert!(Answer::default().take(status.as_bytes(), &exchange()).is_err());
}

#[test]
fn connection_close_is_seen() {
    let right = String::from_utf8(Service::ApiV1.answer(SMALL)).expect("the answer is text");
    let closing = right.replacen("Vary: Accept-Encoding", "connection: Close", 1);
    let done = Answer::default().take(closing.as_bytes(), &exchange());
    assert_eq!(done, Ok(Progress::Complete { closes: true }));
}
