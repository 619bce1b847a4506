use super::{FieldName, NAMES};

#[test]
fn every_known_name_is_recognised_in_any_case() {
    for (text, known) in &NAMES[1..] {
        assert_eq!(FieldName::recognise(text.as_bytes()), *known);
        assert_eq!(FieldName::recognise(text.to_uppercase().as_bytes()), *known);
        assert_eq!(known.as_str(), *text);
        assert_eq!(FieldName::recognise(format!("{text}x").as_bytes()), FieldName::Other);
        assert_eq!(
            FieldName::recognise(text.replacen('-', "_", 1).as_bytes()) == *known,
            !text.contains('-')
        );
    }
    assert_eq!(FieldName::recognise(b""), FieldName::Other);
    assert_eq!(FieldName::recognise(b"x"), FieldName::Other);
}
