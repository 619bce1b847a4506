//! Cookie and Set-Cookie fields: no panic; a cookie that is taken out is gone and all others read as before; values that are kept change
//! nothing that is read; what a Set-Cookie field is taken apart into makes it again.
//! The bytes up to the first zero are the name, the rest is the value of the field.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narrows_wire::http1::{cookie, cookies, edit_cookies, set_cookie};

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(0);
    let (name, value) = (&bytes[..end], bytes.get(end + 1..).unwrap_or_default());
    let Ok(name) = std::str::from_utf8(name) else { return };
    if name.is_empty() || name.contains([' ', '\t', ';', '=']) {
        return;
    }
    assert_eq!(cookies(value, name).next(), cookie(value, name));

    let mut without = Vec::new();
    let is_written = edit_cookies(value, name, &mut without, |_| None);
    assert_eq!(cookies(&without, name).count(), 0);
    assert!(without.len() <= value.len());
    assert!(is_written || without.iter().all(|byte| *byte == b';'));
    let mut kept = Vec::new();
    edit_cookies(value, name, &mut kept, Some);
    for other in [name, "a", "sid", "narrows"] {
        if other != name {
            assert!(cookies(value, other).eq(cookies(&without, other)));
        }
        assert!(cookies(value, other).eq(cookies(&kept, other)));
    }

    if let Some(set) = set_cookie(value) {
        let again = [set.name, b"=", set.value, set.attributes].concat();
        assert_eq!(set_cookie(&again), Some(set));
    }
});
