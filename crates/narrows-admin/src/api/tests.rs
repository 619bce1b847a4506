use super::*;

fn names(pattern: &str, path: &str) -> Option<Option<Vec<String>>> {
    matched(pattern, path)
}

#[test]
fn names_in_a_path_are_decoded_once() {
    let pattern = "/v1/upstreams/{upstream}/endpoints/{endpoint}";
    let found = names(pattern, "/v1/upstreams/web/endpoints/unix:%2Frun%2Fa%2541");
    assert_eq!(found, Some(Some(vec!["web".into(), "unix:/run/a%41".into()])));
    assert_eq!(names(pattern, "/v1/upstreams/web/endpoints/"), None);
    assert_eq!(names(pattern, "/v1/upstreams/web/endpoints/a/b"), None);
    for broken in ["%", "%4", "%zz", "%+1", "%ff", "%00"] {
        assert_eq!(names(pattern, &format!("/v1/upstreams/web/endpoints/{broken}")), Some(None), "{broken}");
    }
}

#[test]
fn every_operation_is_found_under_its_own_path() {
    for operation in &OPERATIONS {
        let method = operation.method.parse().unwrap();
        let path = operation.path.replace(['{', '}'], "");
        let Found::Operation(found, _) = find(&path, &method) else { panic!("{path}") };
        assert_eq!(found.id, operation.id);
    }
}

#[test]
fn another_method_hears_which_ones_there_are() {
    let Found::OtherMethods(methods) = find("/v1/upstreams/web/endpoints", &http::Method::TRACE) else {
        panic!()
    };
    assert_eq!(methods, "GET, HEAD, POST");
    assert!(matches!(find("/v1", &http::Method::GET), Found::Nothing));
}

#[test]
fn the_description_names_every_operation_and_every_type() {
    let described = crate::openapi::description("0.0.0");
    for operation in &OPERATIONS {
        let method = operation.method.to_ascii_lowercase();
        assert_eq!(described["paths"][operation.path][&method]["operationId"], operation.id);
    }
    let text = described.to_string();
    for reference in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(described["components"]["schemas"].get(name).is_some(), "{name}");
    }
}

#[test]
fn a_body_is_an_object_and_whole_numbers_may_have_a_point() {
    let read = |body: &'static str| {
        let call = Call {
            names: Vec::new(),
            query: String::new(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body.as_bytes()),
        };
        call.value::<crate::model::EndpointChange>().map_err(|problem| problem.cause)
    };
    assert_eq!(read(r#"{"weight": 7.0}"#).unwrap().weight, Some(Some(7)));
    for body in
        ["[null, null]", r#"["drain", 1]"#, "null", "7", r#"{"weight": 7.5}"#, r#"{"weight": -1.0}"#, "{"]
    {
        assert_eq!(read(body), Err(Cause::BadBody), "{body}");
    }
}
