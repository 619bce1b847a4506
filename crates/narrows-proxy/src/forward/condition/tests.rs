//! Which failures and answers are worth another attempt.

use super::{Cause, is_worth_another};
use crate::Fault;
use narrows_plan::RetryConditions;
use narrows_upstream::ConnectFailure;
use narrows_wire::http1::{HeadError, HeadLimits, Method, ResponseHead, parse_response};

fn on(change: impl FnOnce(&mut RetryConditions)) -> RetryConditions {
    let mut on = RetryConditions::default();
    change(&mut on);
    on
}

#[test]
fn a_fault_has_one_cause() {
    let causes = [
        (Fault::Connect(ConnectFailure::Refused), true, false, Cause::Connect),
        (Fault::ResponseMissing, true, false, Cause::Reset),
        (Fault::ResponseMissing, true, true, Cause::Refused),
        (Fault::ResponseMissing, false, false, Cause::Answer),
        (Fault::ResponseHeadTimedOut, true, false, Cause::TimedOut),
        (Fault::TryTimedOut, true, false, Cause::TimedOut),
        (Fault::TryTimedOut, false, false, Cause::Answer),
        (Fault::ResponseHead(HeadError::HeadTooLarge), false, false, Cause::Answer),
        (Fault::ClientGone, true, false, Cause::Elsewhere),
        (Fault::RequestTimedOut, true, false, Cause::Elsewhere),
        (Fault::RequestBodyTimedOut, true, false, Cause::Elsewhere),
    ];
    for (fault, is_silent, is_refused, cause) in causes {
        assert_eq!(Cause::of(fault, is_silent, is_refused), cause, "{fault:?}");
    }
}

#[test]
fn each_condition_turns_its_cause_on_and_off() {
    let none = on(|on| {
        (on.connect_failure, on.refused_stream, on.reset) = (false, false, false);
    });
    let conditions = [
        (Cause::Connect, RetryConditions { connect_failure: true, ..none.clone() }),
        (Cause::Refused, RetryConditions { refused_stream: true, ..none.clone() }),
        (Cause::Reset, RetryConditions { reset: true, ..none.clone() }),
        (Cause::TimedOut, RetryConditions { timeout: true, ..none.clone() }),
    ];
    for (cause, with) in conditions {
        assert!(!cause.is_worth_another(&none), "{cause:?}");
        assert!(cause.is_worth_another(&with), "{cause:?}");
    }
    let all = on(|on| on.timeout = true);
    for cause in [Cause::Answer, Cause::Late, Cause::Elsewhere] {
        assert!(!cause.is_worth_another(&all), "{cause:?}");
    }
}

fn is_worth(answer: &[u8], on: &RetryConditions) -> bool {
    let mut head = ResponseHead::default();
    let limits = HeadLimits { head_bytes: 4096, fields: 10, target_bytes: 100 };
    parse_response(answer, Method::Get, &limits, &mut head).expect("a head");
    is_worth_another(answer, &head, on)
}

#[test]
fn an_answer_is_judged_by_its_status() {
    let on = on(|on| on.statuses = Box::new([(502, 504), (429, 429)]));
    for (status, worth) in [(200, false), (429, true), (501, false), (502, true), (504, true), (505, false)] {
        assert_eq!(is_worth(format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes(), &on), worth, "{status}");
    }
}

#[test]
fn an_answer_is_judged_by_a_grpc_status_that_came_alone() {
    let on = on(|on| on.grpc_statuses = Box::new([14]));
    let answer = |status: &str| format!("HTTP/1.1 200 OK\r\nGrpc-Status: {status}\r\n\r\n").into_bytes();
    assert!(is_worth(&answer("14"), &on));
    assert!(!is_worth(&answer("0"), &on) && !is_worth(&answer("x"), &on));
    assert!(!is_worth(b"HTTP/1.1 200 OK\r\n\r\n", &on));
    assert!(!is_worth(&answer("14"), &RetryConditions::default()));
}
