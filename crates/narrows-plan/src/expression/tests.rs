use super::*;
use crate::facts::known::Known;

fn int(number: i64) -> Expression {
    Expression::Literal(Literal::Int(number))
}

fn arithmetic(operation: Arithmetic, one: i64, two: i64) -> Expression {
    Expression::Arithmetic(operation, Box::new(int(one)), Box::new(int(two)))
}

#[test]
fn a_missing_header_reads_as_an_empty_text() {
    let facts = Known::default();
    assert_eq!(Expression::Header("x".into()).equals("").truth(&facts), Some(true));
    assert_eq!(Expression::HasHeader("x".into()).truth(&facts), Some(false));
}

#[test]
fn overflow_and_division_by_zero_have_no_value() {
    let facts = Known::default();
    assert_eq!(arithmetic(Arithmetic::Add, i64::MAX, 1).evaluate(&facts), None);
    assert_eq!(arithmetic(Arithmetic::Divide, 1, 0).evaluate(&facts), None);
    assert_eq!(arithmetic(Arithmetic::Remainder, i64::MIN, -1).evaluate(&facts), None);
    assert_eq!(arithmetic(Arithmetic::Multiply, 6, 7).evaluate(&facts), Some(Value::Int(42)));
}

#[test]
fn a_side_that_decides_outweighs_one_without_a_value() {
    let facts = Known::default();
    let none = || {
        let quotient = arithmetic(Arithmetic::Divide, 1, 0);
        Box::new(Expression::Compare(Comparison::Equal, Box::new(quotient), Box::new(int(1))))
    };
    let yes = || Box::new(Expression::Literal(Literal::Bool(true)));
    assert_eq!(Expression::Or(none(), yes()).truth(&facts), Some(true));
    assert_eq!(Expression::And(none(), yes()).truth(&facts), None);
    assert_eq!(Expression::And(none(), Box::new(Expression::Not(yes()))).truth(&facts), Some(false));
}

#[test]
fn an_address_is_found_in_a_block() {
    let facts = Known::new(&[("connection.source", "10.1.2.3"), ("header x-ip", "nonsense")]);
    let blocks: Box<[Network]> = vec!["10.0.0.0/8".parse().unwrap()].into();
    let source = Expression::InNetwork(Box::new(Expression::Fact(Fact::Source)), blocks.clone());
    assert_eq!(source.truth(&facts), Some(true));
    let header = Expression::InNetwork(Box::new(Expression::Header("x-ip".into())), blocks);
    assert_eq!(header.truth(&facts), Some(false));
}

#[test]
fn what_was_observed_is_named_once_with_its_value() {
    let facts = Known::new(&[("request.host", "a")]);
    let host = || Expression::Fact(Fact::Host);
    let both = Expression::Or(Box::new(host().equals("a")), Box::new(host().equals("b")));
    assert_eq!(both.observed(&facts), [("request.host".to_owned(), "\"a\"".to_owned())]);
}
