//! Frames in and out, whole and byte by byte.

use super::*;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame; the first byte as given.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = self::frame(0, payload).to_vec();
    frame[0] = first;
    frame[1] |= 0x80;
    let head = head_bytes(payload.len());
    frame.splice(head..head, MASK);
    frame[head + 4..].iter_mut().zip(MASK.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    frame
}

/// Whole, and byte by byte: the outcome must be the same.
fn decode(bytes: &[u8]) -> (Vec<Event>, Result<(), Broken>) {
    let (mut whole, mut single) = (Decoder::new(1 << 16), Decoder::new(1 << 16));
    let (mut events, mut slowly) = (Vec::new(), Vec::new());
    let outcome = whole.feed(bytes, &mut events);
    let bytewise = bytes.iter().try_for_each(|byte| single.feed(&[*byte], &mut slowly));
    assert_eq!((&events, outcome), (&slowly, bytewise));
    (events, outcome)
}

fn refused(bytes: &[u8]) -> Broken {
    let (events, outcome) = decode(bytes);
    assert_eq!(events, []);
    outcome.expect_err("it breaks a rule")
}

#[test]
fn messages_of_every_length_form_come_out_whole() {
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536] {
        let text = "x".repeat(length);
        let (events, outcome) = decode(&client(0x81, text.as_bytes()));
        assert_eq!((events, outcome), (vec![Event::Text(text)], Ok(())), "{length}");
    }
    assert_eq!(decode(&client(0x82, &[0xff; 200])).0, [Event::Binary]);
    assert_eq!(refused(&client(0x81, &[b'x'; 65_537])), Broken::TooLarge);
    assert_eq!(refused(&client(0x82, &[b'x'; 65_537])), Broken::TooLarge);
}

#[test]
fn fragments_join_and_control_frames_may_come_between() {
    let stream = [
        client(0x01, b"Th\xc3"),
        client(0x89, b"here?"),
        client(0x00, b"\xa0nh "),
        client(0x8a, b""),
        client(0x80, b"ph\xe1\xbb\x91"),
        client(0x81, b"!"),
    ];
    let (events, outcome) = decode(&stream.concat());
    let text = |text: &str| Event::Text(text.to_owned());
    let wanted = [Event::Ping(b"here?".to_vec()), Event::Pong, text("Thành phố"), text("!")];
    assert_eq!((events, outcome), (wanted.to_vec(), Ok(())));
    let half = [client(0x01, &[b'x'; 40_000]), client(0x80, &[b'x'; 40_000])].concat();
    assert_eq!(refused(&half), Broken::TooLarge);
}

#[test]
fn what_breaks_the_protocol_is_refused() {
    for first in [0x91, 0xa1, 0xc1, 0xf1, 0x83, 0x87, 0x8b, 0x8f, 0x80, 0x00, 0x09, 0x08, 0x0a] {
        assert_eq!(refused(&client(first, b"x")), Broken::Protocol, "{first:#x}");
    }
    for first in [0x88, 0x89, 0x8a] {
        assert_eq!(refused(&client(first, &[b'x'; 126])), Broken::Protocol, "{first:#x}");
    }
    assert_eq!(refused(&[0x81, 0x01, b'x']), Broken::Protocol, "not masked");
    assert_eq!(refused(&[0x81, 0xfe, 0, 5, 0, 0, 0, 0]), Broken::Protocol, "not the shortest form");
    let sign = [0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(refused(&sign), Broken::Protocol, "a length with a sign");
    let nested = [client(0x01, b"a"), client(0x81, b"b")].concat();
    assert_eq!(refused(&nested), Broken::Protocol, "a message in a message");
}

#[test]
fn text_that_is_no_utf8_is_refused_at_the_first_wrong_byte() {
    for bad in [&b"\xc0\xaf"[..], b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff", b"a\x80", b"\xc3"]
    {
        assert_eq!(refused(&client(0x81, bad)), Broken::Utf8, "{bad:x?}");
    }
    let mut frame = client(0x01, b"\xce\xba\xed\xa0");
    frame[1] = 0x80 | 100; // more is announced than comes
    assert_eq!(refused(&frame), Broken::Utf8);
}

#[test]
fn a_close_has_a_code_that_exists_or_none() {
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999u16] {
        let payload = [&code.to_be_bytes()[..], b"bye"].concat();
        assert_eq!(decode(&client(0x88, &payload)).0, [Event::Close(Some(code))]);
    }
    assert_eq!(decode(&client(0x88, b"")).0, [Event::Close(None)]);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535u16] {
        assert_eq!(refused(&client(0x88, &code.to_be_bytes())), Broken::Protocol, "{code}");
    }
    assert_eq!(refused(&client(0x88, b"\x03")), Broken::Protocol);
    assert_eq!(refused(&client(0x88, b"\x03\xe8\xff")), Broken::Utf8);
    let after = [client(0x88, b""), client(0x81, b"late"), vec![0xff; 9]].concat();
    assert_eq!(decode(&after), (vec![Event::Close(None)], Ok(())));
}

#[test]
fn a_servers_frames_are_not_masked_and_in_the_shortest_form() {
    assert_eq!(text("hi")[..], *b"\x81\x02hi");
    assert_eq!(text(&"x".repeat(126))[..4], *b"\x81\x7e\x00\x7e");
    assert_eq!(text(&"x".repeat(65_536))[..10], *b"\x81\x7f\0\0\0\0\0\x01\0\0");
    assert_eq!((&ping()[..], &pong(b"p")[..]), (&b"\x89\x00"[..], &b"\x8a\x01p"[..]));
    assert_eq!(
        (&close(Some(1000), "x")[..], &close(None, "")[..]),
        (&b"\x88\x03\x03\xe8x"[..], &b"\x88\x00"[..])
    );
}
