use super::Workload;
use crate::subject::Kind;

#[test]
fn a_name_stands_for_itself_or_for_its_group() {
    assert_eq!(Workload::named("w7-grpc").expect("it exists"), [Workload::Grpc]);
    let http2 = [Workload::Http2One, Workload::Http2Hundred, Workload::Http2ToHttp2];
    assert_eq!(Workload::named("w7-h2").expect("a group"), http2);
    assert_eq!(Workload::named("w8").expect("a group").len(), 3);
    assert!(Workload::named("w9").is_err());
}

#[test]
fn every_possible_workload_has_a_configuration_that_opens_its_door() {
    for workload in Workload::ALL {
        assert!(workload.setting().doors().contains(&workload.door()), "{}", workload.name());
        for kind in Kind::ALL {
            let possible = workload.impossible_for(kind).is_none();
            let template = workload.setting().template(kind);
            if let (true, Some((_, text))) = (possible, template) {
                let placeholder = format!("@{}@", workload.door().placeholder());
                assert!(text.contains(&placeholder), "{} of {}", workload.name(), kind.name());
            } else {
                assert!(!possible, "{} of {}", workload.name(), kind.name());
            }
        }
    }
}
