use super::*;

fn ended(fault: Option<Fault>, attempts: u32, is_connected: bool, is_answered: bool) -> (Ender, Stage) {
    let termination = termination(fault, Progress { attempts, is_connected, is_answered });
    (termination.by, termination.at)
}

#[test]
fn who_ended_it_and_when_follows_from_the_fault_and_from_how_far_it_came() {
    let shed = Shed { cause: ShedCause::QueueTimedOut, retry_after: 1 };
    let table = [
        ((None, 1, true, true), (Ender::Nobody, Stage::Over)),
        ((None, 0, false, false), (Ender::Local, Stage::Request)),
        ((Some(Fault::NoRoute), 0, false, false), (Ender::Proxy, Stage::Request)),
        ((Some(Fault::RequestHeadTimedOut), 0, false, false), (Ender::ClientTimeout, Stage::Request)),
        ((Some(Fault::Shed(shed)), 0, false, false), (Ender::ServerTimeout, Stage::Queue)),
        ((Some(Fault::NoEndpoint), 0, false, false), (Ender::Server, Stage::Connect)),
        (
            (Some(Fault::Connect(ConnectFailure::TimedOut)), 1, false, false),
            (Ender::ServerTimeout, Stage::Connect),
        ),
        (
            (Some(Fault::Connect(ConnectFailure::Exhausted)), 1, false, false),
            (Ender::Resource, Stage::Connect),
        ),
        ((Some(Fault::ResponseHeadTimedOut), 1, true, false), (Ender::ServerTimeout, Stage::Head)),
        ((Some(Fault::ResponseMissing), 1, true, false), (Ender::Server, Stage::Head)),
        ((Some(Fault::ClientGone), 1, true, false), (Ender::Client, Stage::Head)),
        ((Some(Fault::ClientGone), 1, true, true), (Ender::Client, Stage::Body)),
        ((Some(Fault::ResponseIncomplete), 1, true, true), (Ender::Server, Stage::Body)),
        ((Some(Fault::IdleTimedOut), 1, true, true), (Ender::ClientTimeout, Stage::Body)),
        ((Some(Fault::EndpointDown), 1, true, true), (Ender::Down, Stage::Body)),
    ];
    for ((fault, attempts, connected, answered), expected) in table {
        assert_eq!(ended(fault, attempts, connected, answered), expected, "{fault:?}");
    }
}
