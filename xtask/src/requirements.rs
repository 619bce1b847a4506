//! What the tests drive: Debian packages, a Python environment, cargo's own tools. Installed where that is
//! possible, named precisely where it is not; never skipped.

use anyhow::{Context, Result, bail};

use crate::run::{installed, output, root, run, run_with};

/// A program that the tests start (or a module of one, by its path), and the Debian package that brings it.
struct Program {
    name: &'static str,
    package: &'static str,
}

const PROGRAMS: [Program; 25] = [
    Program { name: "curl", package: "curl" },
    Program { name: "nginx", package: "nginx" },
    Program { name: "/usr/lib/nginx/modules/ngx_stream_module.so", package: "libnginx-mod-stream" },
    Program { name: "haproxy", package: "haproxy" },
    Program { name: "wrk", package: "wrk" },
    Program { name: "nghttp", package: "nghttp2-client" },
    Program { name: "h2load", package: "nghttp2-client" },
    Program { name: "nghttpd", package: "nghttp2-server" },
    Program { name: "openssl", package: "openssl" },
    Program { name: "postgres", package: "postgresql" },
    Program { name: "initdb", package: "postgresql" },
    Program { name: "psql", package: "postgresql-client" },
    Program { name: "pgbench", package: "postgresql" },
    Program { name: "mariadbd", package: "mariadb-server" },
    Program { name: "mariadb-install-db", package: "mariadb-server" },
    Program { name: "mariadb", package: "mariadb-client" },
    Program { name: "redis-server", package: "redis-server" },
    Program { name: "knotd", package: "knot" },
    Program { name: "dig", package: "bind9-dnsutils" },
    Program { name: "dnsperf", package: "dnsperf" },
    Program { name: "sipp", package: "sip-tester" },
    Program { name: "iperf3", package: "iperf3" },
    Program { name: "setpriv", package: "util-linux" },
    Program { name: "kill", package: "procps" },
    Program { name: "python3", package: "python3-venv" },
];

/// The Python packages, and the folder of their environment.
const PYTHON_PACKAGES: [&str; 7] = [
    "websockets>=14",
    "aioquic>=1.2",
    "grpcio>=1.60",
    "grpcio-health-checking>=1.60",
    "schemathesis>=4",
    "prometheus-client>=0.20",
    "opentelemetry-proto>=1.25",
];
const PYTHON: &str = "target/conformance-python";

/// The tools of cargo, and their crates.
const CARGO_TOOLS: [(&str, &str); 2] = [("cargo-nextest", "cargo-nextest"), ("cargo-fuzz", "cargo-fuzz")];

/// Makes sure that all is there.
pub(crate) fn prepare() -> Result<()> {
    debian()?;
    python()?;
    for (program, package) in CARGO_TOOLS {
        if !installed(program) {
            run(&["cargo", "install", "--locked", package])?;
        }
    }
    Ok(())
}

fn debian() -> Result<()> {
    let missing = PROGRAMS.iter().filter(|program| !installed(program.name)).collect::<Vec<_>>();
    if missing.is_empty() {
        return Ok(());
    }
    let mut packages = missing.iter().map(|program| program.package).collect::<Vec<_>>();
    packages.sort_unstable();
    packages.dedup();
    let names = missing.iter().map(|program| program.name).collect::<Vec<_>>().join(", ");
    let advice =
        format!("install them with: sudo apt-get install --no-install-recommends {}", packages.join(" "));
    if !is_root()? || !installed("apt-get") {
        bail!("the tests need programs that are not installed: {names}\n{advice}");
    }
    eprintln!("xtask: installing what the tests need: {names}");
    let quiet = [("DEBIAN_FRONTEND", "noninteractive")];
    let mut line = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
    line.extend(packages);
    run_with(&["apt-get", "update", "--quiet"], &quiet)
        .and_then(|()| run_with(&line, &quiet))
        .with_context(|| format!("the tests need programs that are not installed: {names}\n{advice}"))?;
    let still = missing.iter().filter(|program| !installed(program.name)).map(|program| program.name);
    let still = still.collect::<Vec<_>>();
    if !still.is_empty() {
        bail!("the packages were installed, but these programs are not found: {}", still.join(", "));
    }
    Ok(())
}

fn python() -> Result<()> {
    let environment = root().join(PYTHON);
    let python = environment.join("bin/python3").display().to_string();
    if output(&[
        &python,
        "-c",
        "import grpc_health.v1.health, websockets.sync.client, aioquic.quic.connection, prometheus_client.openmetrics.parser, opentelemetry.proto.collector.trace.v1.trace_service_pb2, schemathesis",
    ])
    .is_ok()
    {
        return Ok(());
    }
    let advice = format!(
        "make it with: python3 -m venv {PYTHON} && {PYTHON}/bin/pip install '{}'",
        PYTHON_PACKAGES.join("' '")
    );
    let make = || -> Result<()> {
        run(&["python3", "-m", "venv", "--clear", &environment.display().to_string()])?;
        let mut line =
            vec![python.as_str(), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        line.extend(PYTHON_PACKAGES);
        run(&line)
    };
    make().with_context(|| {
        format!("the tests need a Python environment in {PYTHON}\n{advice} (Debian: python3-venv)")
    })
}

fn is_root() -> Result<bool> {
    Ok(output(&["id", "-u"])?.trim() == "0")
}
