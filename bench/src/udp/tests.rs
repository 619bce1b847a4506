use super::check;
use crate::service::Service;

#[test]
fn only_the_datagram_itself_is_its_answer() {
    let mut sent = Service::Udp.body(64);
    sent[..8].copy_from_slice(&7_u64.to_be_bytes());
    let mut newer = sent.clone();
    newer[..8].copy_from_slice(&9_u64.to_be_bytes());
    assert_eq!(check(&sent, 7, &newer), Ok(()));
    assert!(check(&sent, 9, &newer).is_err());
    assert!(check(&sent[..63], 7, &newer).is_err());
    let mut changed = sent.clone();
    changed[63] ^= 1;
    assert!(check(&changed, 7, &newer).is_err());
}
