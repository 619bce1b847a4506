//! Expressions that load, and what becomes of them.

use narrows_config::load_text;
use narrows_plan::{Expression, Protocol};
use std::path::Path;

/// Compiles one condition of a listener.
fn compile(expression: &str, protocol: &str) -> Result<Expression, String> {
    let quoted = serde_json::to_string(expression).expect("a text");
    let text = format!(
        "listeners: {{ web: {{ bind: ':80', protocol: {protocol}, routes: [{{ when: {quoted}, upstream: app }}] }} }}\nupstreams: {{ app: {{ endpoints: '127.0.0.1:1' }} }}\n"
    );
    let loaded = load_text("test.yaml", &text, Path::new("."));
    let rendered = loaded.diagnostics.render(false);
    let plan = loaded.plan.ok_or(rendered)?;
    let table = match &plan.listeners[0].protocol {
        Protocol::Http(http) => &http.table,
        Protocol::Tcp(tcp) => &tcp.table,
        Protocol::Udp(udp) => &udp.table,
    };
    Ok(table.rules()[0].conditions[0].expression.clone())
}

#[test]
fn well_typed_expressions_compile() {
    for expression in [
        "true",
        "request.method == 'GET' || request.method in ['HEAD', 'OPTIONS']",
        "request.headers['X-Beta'] != '' && 'x-id' in request.headers && has(request.headers.accept)",
        "request.headers.accept.contains('json')",
        "request.cookies['a'] == request.params['b'] ? true : !(request.port > 1024)",
        "request.path.startsWith('/a') && request.raw_path.endsWith('.png') && request.target.matches('^/[a-z]+$')",
        "int(request.params['n']) % 2 == 0 && -1 < 1 && 2.5 > 1",
        "size(request.path) <= 100 && request.host.size() > 3",
        "request.host.lowerAscii() + ':' + string(request.port) == 'a:80'",
        "connection.source.inCidr('10.0.0.0/8', '::1/128') || inCidr(connection.source, '192.168.0.0/16')",
        "time.hour in [8, 9, 10] && time.day_of_week != 0",
        "connection.listener == 'web' && connection.port == 80 && request.scheme == 'http'",
        "'größe' == request.params['ä'] && r'a\\b' == \"a\\\\b\"",
        "request.host == \"a\" // a comment\n && true",
    ] {
        assert!(
            compile(expression, "http").is_ok(),
            "{expression}: {}",
            compile(expression, "http").unwrap_err()
        );
    }
    for expression in
        ["connection.sni.endsWith('.example.com')", "'h2' in connection.alpn && size(connection.alpn) > 1"]
    {
        assert!(
            compile(expression, "tcp").is_ok(),
            "{expression}: {}",
            compile(expression, "tcp").unwrap_err()
        );
    }
}

#[test]
fn header_names_are_lower_case_and_others_stay() {
    assert_eq!(
        compile("request.headers['X-A'] == 'B'", "http"),
        Ok(Expression::Header("x-a".into()).equals("B"))
    );
    assert_eq!(
        compile("request.cookies['X-A'] == 'B'", "http"),
        Ok(Expression::Cookie("X-A".into()).equals("B"))
    );
    assert_eq!(compile("'X-A' in request.headers", "http"), Ok(Expression::HasHeader("x-a".into())));
    assert_eq!(compile("has(request.params.X)", "http"), Ok(Expression::HasParameter("X".into())));
}

#[test]
fn every_fact_is_known_where_it_belongs() {
    for fact in narrows_plan::Fact::ALL {
        let name = fact.name();
        if name.starts_with("response.") || name.starts_with("record.") {
            continue;
        }
        let protocol = if matches!(name, "connection.sni" | "connection.alpn") { "tcp" } else { "http" };
        let condition = format!("{name} == {name}");
        assert!(
            compile(&condition, protocol).is_ok(),
            "{name}: {}",
            compile(&condition, protocol).unwrap_err()
        );
    }
}
