//! What a node tells by itself: notifications and how they travel, lines for a serial line, how long its module had nothing to do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod rig;

use rig::{Rig, is_notification, running, vectors};
use wasmote_coap::{Code, Kind, Message, option};

#[test]
fn what_can_be_observed_is_and_few_changes_are_confirmed() {
    let (_, mut node) = running();
    for (path, can) in [
        ("sensors/level", true),
        ("outputs/flow", true),
        ("app/params/limit", true),
        ("app", true),
        ("log", true),
        ("node", false),
        ("stats", false),
        ("time", false),
        ("app/staged", false),
        ("sensors/none", false),
    ] {
        let answers = node.exchange(Code::GET, path, &[(option::OBSERVE, vec![])], b"");
        assert_eq!(is_notification(&answers[0]), can, "{path}");
    }
    // A parameter and the package change seldom, and whoever observes them is to know: each is confirmed (RFC 7641 §4.5).
    let mut confirmed = |code, path, payload: &[u8]| {
        let sent = node.exchange(code, path, &[], payload);
        sent.iter()
            .filter(|d| is_notification(d))
            .filter(|d| Message::parse(d).unwrap().kind == Kind::Con)
            .count()
    };
    let count = confirmed(Code::PUT, "app/params/limit", b"3");
    assert!((1..=2).contains(&count), "{count}");
    assert!(confirmed(Code::DELETE, "app", b"") >= 1);
}

/// The last block of a package that goes in the place of the one that runs: its datagram is taken, and what follows is to come.
fn last_block(node: &mut Rig, package: &[u8]) -> (usize, usize) {
    let last = (package.len() - 1) / 256 * 256;
    for at in (0..last).step_by(256) {
        assert_eq!(node.block(package, at, 256).0, Code::CONTINUE);
    }
    (last, 256)
}

fn flow(node: &mut Rig) -> String {
    let (code, payload) = node.get("outputs/flow", wasmote_coap::format::TEXT, "");
    assert_eq!(code, Code::CONTENT);
    String::from_utf8(payload).unwrap()
}

#[test]
fn the_last_value_before_an_update_is_told_and_not_lost_to_the_pace_of_notifications() {
    let (v, (_, mut node)) = (vectors(), running());
    let next = v.named("good, and the next");
    let (last, size) = last_block(&mut node, next);
    let answers = node.exchange(Code::GET, "outputs/flow", &[(option::OBSERVE, vec![])], b"");
    assert!(is_notification(&answers[0]));
    // More than may follow each other at once: what is sent last waits for an acknowledgement that does not come.
    node.feed(20);
    let newest = flow(&mut node);
    node.heard();
    let (code, _) = node.block(next, last, size);
    assert_eq!(code, Code::CHANGED);
    assert_eq!(node.heard(), [newest]);
    assert_eq!(flow(&mut node), "", "the next has said nothing yet");
}

#[test]
fn what_was_said_before_an_update_counts_as_the_old_ones_and_after_it_as_the_new_ones() {
    let (v, (_, mut node)) = (vectors(), running());
    let next = v.named("good, and the next");
    let (last, size) = last_block(&mut node, next);
    // The Server has no time: the old one's value and the news of the new one lie there together.
    node.put_sample(5.0);
    node.hold(10);
    node.put_block(next, last, size);
    node.hold(50);
    node.settle();
    assert_eq!(flow(&mut node), "");

    let (v, (_, mut node)) = (vectors(), running());
    let next = v.named("good, and the next");
    let (last, size) = last_block(&mut node, next);
    // The new one's value, while the news of it was not taken.
    node.put_block(next, last, size);
    node.put_sample(5.0);
    node.hold(50);
    node.settle();
    assert_ne!(flow(&mut node), "");
}

#[test]
fn a_run_that_has_begun_comes_to_its_end_before_its_module_is_replaced() {
    let (v, (_, mut node)) = (vectors(), running());
    let next = v.named("good, and the next");
    let (last, size) = last_block(&mut node, next);
    node.exchange(Code::GET, "outputs/flow", &[(option::OBSERVE, vec![])], b"");
    node.put_sample(5.0);
    node.hold(1);
    node.put_block(next, last, size);
    let sent = node.settle();
    let told = sent.iter().filter(|d| is_notification(d));
    let told: Vec<_> = told.map(|d| Message::parse(d).unwrap().payload).collect();
    assert_eq!(told, [b"5"]);
    assert_eq!(flow(&mut node), "", "the next has said nothing yet");
}

#[test]
fn a_serial_line_shows_each_line_of_the_log_once_and_in_order() {
    let (memory, mut node) = running();
    let log = node.log();
    assert!(log.lines().count() > 1, "{log}");
    assert_eq!(node.lines(), log.lines().collect::<Vec<_>>());
    assert_eq!(node.lines(), [""; 0]);
    // What was said before it was looked at, as far back as the log goes.
    let mut node = Rig::boot(&memory, &vectors().keys[..1]);
    for _ in 0..3 {
        let told = node.lines();
        assert!(node.log().ends_with(told.join("\n").as_str()), "{told:?}");
        node.request(Code::POST, "app/rollback", &[], b"");
    }
}

#[test]
fn the_longest_time_between_two_runs_is_told_in_milliseconds() {
    let (_, mut node) = running();
    for pause in [100, 2_750, 40] {
        node.sample(1.0);
        node.wait(pause);
    }
    node.sample(1.0);
    let gap = node.json("stats")["gap_max"].as_u64().unwrap();
    assert!((2_750..2_800).contains(&gap), "{gap}");
}

#[test]
fn what_a_board_says_is_in_the_log_and_told_to_who_observes_it() {
    let (_, mut node) = running();
    node.observe("log");
    node.say("the link is up");
    assert_eq!(node.notified(), 1);
    let log = node.log();
    assert!(log.trim_end().ends_with(" node: the link is up"), "{log}");
    assert_eq!(
        node.lines().last(),
        log.lines().last().map(String::from).as_ref()
    );
    for _ in 0..100 {
        node.say("again");
    }
    let told = node.lines();
    assert!((2..100).contains(&told.len()), "as many as the log has");
    assert!(told.iter().all(|line| line.ends_with("again")));
}

#[test]
fn what_a_board_misses_is_told_once_and_so_is_that_it_was_found() {
    let (_, mut node) = running();
    let about = |node: &mut Rig| {
        let lines = node.lines();
        lines.iter().filter(|line| line.contains("ranger")).count()
    };
    assert_eq!(about(&mut node), 0);
    for (missing, news) in [
        (false, 0),
        (true, 1),
        (true, 0),
        (false, 1),
        (false, 0),
        (true, 1),
    ] {
        node.misses("ranger", missing);
        assert_eq!(about(&mut node), news, "{missing}");
        let list = node.json("node")["missing"].to_string();
        assert_eq!(list.contains("ranger"), missing, "{list}");
    }
}

#[test]
fn an_output_has_no_value_of_the_package_before() {
    let (_, mut node) = running();
    let text = |node: &mut Rig| node.get("outputs/flow", wasmote_coap::format::TEXT, "");
    assert_ne!(text(&mut node).1, b"");
    let next = vectors();
    // While the next one is on its way, the value is the present one's.
    let package = next.named("good, and the next");
    let before = text(&mut node);
    assert_eq!(node.block(package, 0, 256).0, Code::CONTINUE);
    assert_eq!(text(&mut node), before);
    assert_eq!(node.push(package).0, Code::CHANGED);
    assert_eq!(text(&mut node), (Code::CONTENT, vec![]));
    node.feed(1);
    assert_ne!(text(&mut node).1, b"");
}

#[test]
fn each_request_is_counted_in_what_is_told_of_them() {
    let (_, mut node) = running();
    let count = |node: &mut Rig| node.json("node")["coap"]["received"].as_u64().unwrap();
    let before = count(&mut node);
    assert!(before > 0);
    for _ in 0..5 {
        node.request(Code::GET, "time", &[], b"");
    }
    assert!(count(&mut node) >= before + 5);
}
