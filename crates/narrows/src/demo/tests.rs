use super::*;

#[test]
fn the_demo_runs_a_configuration_without_any_diagnostic() {
    let loaded = narrows_config::load_text("demo.yaml", CONFIGURATION, Path::new("."));
    assert!(loaded.diagnostics.is_empty(), "{}", loaded.diagnostics.render(false));
}

#[test]
fn an_offset_moves_every_port() {
    let moved = with_offset(CONFIGURATION, 1000);
    assert_eq!(
        moved.matches("127.0.0.1:").count(),
        moved.matches("127.0.0.1:9080").count() + moved.matches("127.0.0.1:10").count()
    );
    assert!(!moved.contains("127.0.0.1:8080"));
}
