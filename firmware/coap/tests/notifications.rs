//! When notifications are sent and how long they may be, to the millisecond and the byte.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod rig;

use rig::{Msg, Rig, VALUE};
use wasmote_coap::{Code, Kind, OBSERVERS, option};

const GET: Code = Code::GET;

fn observe(id: u16, path: &str) -> Msg {
    Msg::new(GET, id, path).with(option::OBSERVE, [])
}

/// An observer whose round trip of 100 ms was measured.
fn measured(path: &str) -> Rig {
    let mut rig = Rig::new();
    rig.ask(1, &observe(1, path));
    rig.now += 10_000;
    let told = rig.change(1).remove(0);
    assert_eq!(told.kind, Kind::Con);
    rig.now += 100;
    rig.send(1, &Msg::empty(Kind::Ack, told.id));
    rig
}

#[test]
fn eight_notifications_may_follow_each_other_at_once_and_then_one_a_round_trip() {
    // RFC 7641 §4.5.1.
    let mut rig = measured("value");
    rig.now += 5_000;
    let sent: usize = (0..20).map(|_| rig.change(1).len()).sum();
    assert_eq!(sent, 8);
    // What was not sent goes out when it may: the newest state.
    assert_eq!(rig.deadline, Some(rig.now + 100));
    let late = rig.wait(1, 100);
    assert!(late.is_empty());
    let late = rig.wait(1, 1);
    assert_eq!((late.len(), late[0].1.text()), (1, "21"));
    for _ in 0..10 {
        let began = rig.now - 1;
        assert!(rig.change(1).is_empty());
        let next = rig.wait(1, 100);
        assert_eq!((next.len(), next[0].0), (1, began + 100));
    }
}

#[test]
fn a_state_that_is_about_to_be_gone_is_told_whatever_the_pace() {
    // RFC 7641 §4.5.1: more than one a round trip, once.
    let mut rig = measured("value");
    rig.now += 5_000;
    for _ in 0..8 {
        assert_eq!(rig.change(1).len(), 1);
    }
    assert!(rig.change(1).is_empty());
    let value = rig.app.value.to_string();
    let told = rig.at_last(0..VALUE);
    assert!(told.is_empty(), "of other resources nothing is told");
    let told = rig.at_last(VALUE..VALUE + 1);
    assert_eq!((told.len(), told[0].text()), (1, value.as_str()));
    assert_eq!(told[0].kind, Kind::Non);
    let told = rig.at_last(VALUE..VALUE + 1);
    assert!(told.is_empty(), "nothing is told twice");

    // §4.5.2: it takes the place of the one that is not acknowledged yet, which is acknowledged in its stead.
    rig.now += 30_000;
    let waits = rig.change(1).remove(0);
    assert_eq!(waits.kind, Kind::Con);
    assert!(rig.change(1).is_empty());
    let value = rig.app.value.to_string();
    let told = rig.at_last(VALUE..VALUE + 1).remove(0);
    assert_eq!((told.kind, told.text()), (Kind::Con, value.as_str()));
    assert_ne!(told.id, waits.id);
    rig.send(1, &Msg::empty(Kind::Ack, told.id));
    assert!(rig.wait(1, 4_000).is_empty());
    assert_eq!(rig.server.observers(), 1);
}

#[test]
fn what_is_not_acknowledged_is_sent_again_at_the_moment_that_was_named() {
    // RFC 7252 §4.2: each pause is twice the one before, from the first one on.
    let mut rig = Rig::new();
    rig.ask(1, &observe(1, "state"));
    let mut sent = vec![rig.now];
    assert_eq!(rig.change(1).len(), 1);
    for _ in 0..4 {
        let due = rig.deadline.unwrap();
        rig.now = due - 1;
        assert!(rig.poll().is_empty(), "too early");
        assert_eq!(rig.deadline, Some(due));
        rig.now = due;
        assert_eq!(rig.poll().len(), 1);
        sent.push(due);
    }
    let pauses: Vec<u64> = sent.windows(2).map(|two| two[1] - two[0]).collect();
    for (n, pause) in pauses.iter().enumerate() {
        let (least, most) = (2_000 << n, 3_000 << n);
        assert!((least..most).contains(pause), "{pauses:?}");
    }
    // One more pause, and it is given up.
    let due = rig.deadline.unwrap();
    assert!((32_000..48_000).contains(&(due - sent[4])));
    rig.now = due - 1;
    assert!(rig.poll().is_empty() && rig.server.observers() == 1);
    rig.now = due;
    assert!(rig.poll().is_empty() && rig.server.observers() == 0);
    assert_eq!(rig.deadline, None);
}

#[test]
fn a_notification_to_a_stranger_is_no_more_than_three_times_what_its_registration_had() {
    // The allowance that all strangers share is used up first.
    let mut rig = Rig::new();
    for peer in 220..=255 {
        for id in 1..=8 {
            rig.ask(peer, &Msg::new(GET, id, "large"));
        }
    }
    rig.ask(1, &observe(1, "large"));
    rig.ask(200, &observe(1, "large"));
    rig.app.value += 1;
    rig.server.notify(rig::LARGE);
    let told: Vec<_> = rig
        .poll()
        .into_iter()
        .map(|(to, bytes)| (to, Msg::read(&bytes)))
        .collect();
    let [(1, known), (200, stranger)] = &told[..] else {
        unreachable!("{told:?}")
    };
    assert_eq!(
        (known.payload.len(), known.option(option::ECHO)),
        (1_024, None)
    );
    // Header and path of the request, and what stands before the payload of the answer.
    let room = 3 * (4 + 6 + 28) - 28 - (4 + 5 + 3 + 3 + 11 + 1) - 2 - 4;
    let (_, more, size) = stranger.block(option::BLOCK2).unwrap();
    assert!(more && size <= room && 2 * size > room, "{size} of {room}");
    assert_eq!(stranger.payload.len(), size as usize);
    assert!(stranger.option(option::ECHO).is_some());
    // Whoever acknowledges has shown that it is there.
    rig.send(200, &Msg::empty(Kind::Ack, stranger.id));
    for _ in 0..4 {
        rig.now += 1_000;
        for told in rig.change(200) {
            if told.kind == Kind::Con {
                rig.send(200, &Msg::empty(Kind::Ack, told.id));
            }
        }
    }
    rig.now += 4_000;
    let told = rig.change(200).remove(0);
    assert_eq!(told.payload.len(), 1_024);
}

#[test]
fn who_finds_no_place_is_asked_to_show_itself_unless_it_has() {
    // RFC 9175 §2.3.
    let mut rig = Rig::new();
    for client in 0..OBSERVERS as u8 {
        rig.ask(client, &observe(1, "value"));
    }
    for (client, asked) in [(50, false), (200, true)] {
        let answer = rig.ask(client, &observe(1, "value"));
        assert_eq!(answer.option(option::OBSERVE), None);
        assert_eq!(answer.option(option::ECHO).is_some(), asked, "{client}");
    }
}

#[test]
fn what_is_kept_of_a_registration_is_what_makes_its_answer() {
    // RFC 7959 §4: the size is told to whoever asks, which a notification does not.
    let mut rig = Rig::new();
    let first = rig.ask(1, &observe(1, "large").with(option::SIZE2, []));
    let told = rig.change(1).remove(0);
    assert_eq!(first.uint(option::SIZE2), Some(1_280));
    assert_eq!(
        (told.option(option::SIZE2), told.payload.len()),
        (None, 1_024)
    );
    assert_eq!(
        told.text(),
        std::str::from_utf8(&rig::large(1)[..1_024]).unwrap()
    );
}

#[test]
fn a_round_trip_is_that_of_a_notification_that_was_sent_once() {
    // RFC 7252 §4.2 has the peer acknowledge any of them: which one it was, nobody knows.
    let mut rig = Rig::new();
    rig.ask(1, &observe(1, "value"));
    rig.now += 10_000;
    let told = rig.change(1).remove(0);
    let again = rig.wait(1, 3_000).remove(0).1;
    assert_eq!(again, told);
    rig.send(1, &Msg::empty(Kind::Ack, told.id));
    // Not measured: after a burst the next one is confirmable, and measures.
    rig.now += 5_000;
    let sent: Vec<_> = (0..20).flat_map(|_| rig.change(1)).collect();
    let kinds: Vec<_> = sent.iter().map(|m| m.kind).collect();
    assert_eq!(kinds[..kinds.len() - 1], vec![Kind::Non; kinds.len() - 1]);
    assert_eq!(kinds.last(), Some(&Kind::Con));
}
