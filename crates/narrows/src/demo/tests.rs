use super::*;

fn ports(text: &str) -> Vec<u16> {
    text.split("127.0.0.1:").skip(1).filter_map(|piece| piece.get(..4)?.parse().ok()).collect()
}

#[test]
fn the_demo_runs_a_configuration_without_any_diagnostic() {
    let loaded = narrows_config::load_text("demo.yaml", CONFIGURATION, Path::new("."));
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics.render(false));
}

#[test]
fn the_configuration_names_exactly_the_ports_that_the_demo_serves() {
    let mut served = PROXY.to_vec();
    served.extend(HTTP_SERVERS.iter().map(|(port, _)| port));
    served.push(LINE_SERVER);
    assert_eq!(ports(CONFIGURATION), served);
}

#[test]
fn an_offset_moves_every_port_once_also_where_it_meets_another() {
    for offset in [0, 1, 10, 800] {
        let moved = with_offset(CONFIGURATION, offset);
        let expected: Vec<u16> = ports(CONFIGURATION).into_iter().map(|port| port + offset).collect();
        assert_eq!(ports(&moved), expected, "{offset}");
        assert_eq!(with_offset(&moved, 0), moved);
    }
}

#[test]
fn the_moved_configuration_is_right_too() {
    let moved = with_offset(CONFIGURATION, 56000);
    let loaded = narrows_config::load_text("demo.yaml", &moved, Path::new("."));
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics.render(false));
}

#[test]
fn the_guide_names_the_ports_that_are_served() {
    let text = guide::text([9080, 10090, 9443], 1000);
    assert!(text.contains("http://127.0.0.1:9080/v1/users"), "{text}");
    assert!(text.contains("telnet://127.0.0.1:10090"), "{text}");
    assert!(text.contains("https://127.0.0.1:9443/ -i"), "{text}");
    assert!(text.contains("--print-config --port-offset 1000 | narrows explain - GET"), "{text}");
}
