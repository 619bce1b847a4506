use super::*;

fn place(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("narrows-{}-{name}/admin.sock", std::process::id()))
}

fn listen_at(path: &Path, takes_over: bool) -> io::Result<Listening> {
    listen(&Bind::Unix(path.to_owned()), 0o600, takes_over)
}

fn end(path: &Path) {
    let _ = std::fs::remove_dir_all(path.parent().unwrap());
}

#[test]
fn a_socket_belongs_to_its_owner_and_goes_with_it() {
    let path = place("owner");
    let listening = listen_at(&path, false).unwrap();
    assert_eq!(listening.path(), Some(&*path));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(listening);
    assert!(!path.exists());
    end(&path);
}

#[test]
fn a_socket_that_answers_stays_and_a_stale_one_is_replaced() {
    let path = place("stale");
    let first = listen_at(&path, false).unwrap();
    assert_eq!(listen_at(&path, false).unwrap_err().kind(), ErrorKind::AddrInUse);
    let Listening { socket, file, .. } = first;
    std::mem::forget(file);
    drop(socket);
    assert!(path.exists(), "its owner was killed");
    let second = listen_at(&path, false).unwrap();
    assert!(UnixStream::connect(&path).is_ok());
    drop(second);
    end(&path);
}

#[test]
fn a_successor_takes_the_place_and_the_old_process_leaves_it_alone() {
    let path = place("successor");
    let old = listen_at(&path, false).unwrap();
    let mut new = listen_at(&path, true).unwrap();
    new.take_place().unwrap();
    drop(old);
    assert!(path.exists());
    drop(new);
    assert!(!path.exists());
    end(&path);
}

#[test]
fn a_successor_that_does_not_come_to_serve_leaves_the_old_process_its_place() {
    let path = place("failure");
    let old = listen_at(&path, false).unwrap();
    let before = identity(&path).unwrap();
    drop(listen_at(&path, true).unwrap());
    assert_eq!(identity(&path).unwrap(), before);
    let folder = path.parent().unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "nothing is left of it");
    drop(old);
    end(&path);
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let path = place("file");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(listen_at(&path, true).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    end(&path);
}

#[test]
fn a_port_is_one_process_s_until_it_hands_over() {
    let any = Bind::Socket(SocketAddr::from(([127, 0, 0, 1], 0)));
    let first = listen(&any, 0, false).unwrap();
    assert_eq!(listen(&first.bind, 0, false).unwrap_err().kind(), ErrorKind::AddrInUse);
    let second = listen(&first.bind, 0, true).unwrap();
    assert_eq!(second.bind, first.bind);
}
