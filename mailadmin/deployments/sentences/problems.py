"""What can go wrong between *Apply* and proof: what happened, what stands, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mailadmin.deployments.sentences.daemons import name_daemon
from mailadmin.deployments.sentences.foreseeing import FORESEEING
from mailadmin.deployments.sentences.instances import INSTANCES
from mailadmin.listeners.sentences import address_words, key_words, subject_words
from mailadmin.listeners.sentences import say_problem as say_listener_problem
from mailadmin.mailconf.services import SERVICES
from mailadmin.pki.problems import Problem

PROBLEMS: dict[str, Promise] = {
    **FORESEEING,
    **INSTANCES,
    # a host taken over as it was found
    "adopting.would_change": _(
        "Taking over what was understood would change %(files)s. Nothing was taken over. Look at "
        "the differences with --dry-run."
    ),
    "adopting.changed": _(
        "The mail server is not as it was shown: its files were changed since. Nothing was taken "
        "over. Look at it again, then adopt it."
    ),
    "adopting.in_use": _(
        "The panel has applied something on %(subject)s already, so it looks after it. Nothing was "
        "taken over. What the panel wrote can be taken out again: Undo the adoption."
    ),
    "adopting.not_own": _(
        "The mail server’s own files say something that the panel cannot leave to them alone, so "
        "what it wrote there cannot be taken out completely: %(files)s would still hold a part. "
        "Nothing was changed. What is meant stands under what is left alone; go back to an "
        "earlier deployment instead."
    ),
    "adopting.keys_forbidden": _(
        "The agent hands no key to the panel: its configuration says so (hands_over_keys). The "
        "keys stay on the mail server, and the panel serves their certificates from there."
    ),
    "adopting.keys_too_late": _(
        "The agent hands keys to the panel only until something was applied. The keys stay on the "
        "mail server. To have one here, upload it with its certificate."
    ),
    "adopting.keys_incomplete": _(
        "The agent did not find the keys of %(labels)s any more. Nothing was taken over, and no "
        "key was stored. Look at the mail server again, then adopt it."
    ),
    "adopting.fault": _(
        "Reading the mail server broke off by a fault of the panel (%(kind)s). Nothing was taken "
        "over and nothing on the mail server was changed. The worker’s log says more."
    ),
    "kept.name_in_files": _(
        "The mail server’s own files give %(subject)s a certificate, and the panel cannot take "
        "that out of them. Remove the name there, or leave it as it is here."
    ),
    "found.other_port": _(
        "A service on a port that the panel does not look after (%(file)s, line %(line)s): %(text)s"
    ),
    "found.other_program": _(
        "Another program than smtpd answers on one of the panel’s ports (%(file)s, line %(line)s). "
        "It stays; the panel cannot change this port: %(text)s"
    ),
    "found.second_service": _(
        "A second service on one of the panel’s ports (%(file)s, line %(line)s). The panel looks "
        "after the other one: %(text)s"
    ),
    "found.setting": _("A TLS setting that stays as it is (%(file)s, line %(line)s): %(text)s"),
    "found.several_addresses": _(
        "Postfix listens on several addresses, but not on all (%(file)s, line %(line)s). The panel "
        "looks at one of them only: %(text)s"
    ),
    "found.other_instance": _(
        "Postfix has other instances, which the panel does not look after (%(file)s, line "
        "%(line)s): %(text)s"
    ),
    "found.sni_map_unreadable": _(
        "The table of host names cannot be read: %(file)s. It stays as it is. If it is a text "
        "file, let the agent read it."
    ),
    "found.name_pattern": _(
        "A certificate for a pattern of host names, which the panel has no word for (%(file)s, "
        "line %(line)s). It stays as it is: %(text)s"
    ),
    "found.name_one_sided": _(
        "Postfix and Dovecot do not show the same certificate for %(text)s. It stays as it is; the "
        "panel does not look after this name."
    ),
    "found.certificate_unreadable": _(
        "These files hold no certificate with its key, or more than an RSA and an ECDSA one: "
        "%(text)s. They stay as they are. Choose a certificate for their ports to take them over."
    ),
    "found.filter": _(
        "Dovecot has settings for some addresses only, which the panel does not look after "
        "(%(file)s, line %(line)s): %(text)s"
    ),
    # the agent
    "agent.unreachable": _(
        "The agent on the mail server cannot be reached (%(detail)s). Nothing was asked of the "
        "mail server. Check that the mailadmin agent runs there."
    ),
    "agent.hung_up": _(
        "The agent ended the conversation before it had answered. It may have been restarted; "
        "when it starts, it undoes what was left half done. Check its log."
    ),
    "agent.silent": _("The agent has not said anything for 90 seconds. Check its log."),
    "agent.broken": _(
        "The agent met a fault of its own. Its log has the details. What it had begun is undone "
        "when it starts again."
    ),
    "agent.fault": _(
        "The agent met a fault of its own while it applied. Its log has the details; please "
        "report them."
    ),
    "agent.already_running": _(
        "Another agent already uses the folder %(subject)s. Stop it before another is started."
    ),
    "agent.interrupted": _(
        "The agent was stopped in the middle of the apply. When it started again it put "
        "everything back. Nothing is lost: apply again."
    ),
    "agent.journal_unreadable": _(
        "The agent cannot read its journal %(subject)s of an apply that was cut short, so it does "
        "not know what to put back and changes nothing. Compare main.cf, master.cf and the "
        "Dovecot file with your backup, then remove the journal."
    ),
    "agent.recovery_pending": _(
        "An earlier apply could not be taken back with proof yet, and nothing new is applied "
        "before that: %(problem_words)s The agent tries it again by itself. Check that Postfix and "
        "Dovecot run; once it is proven, apply again."
    ),
    "agent.message_too_large": _("The message to the agent is larger than %(limit)s bytes."),
    "agent.message_unreadable": _(
        "The agent did not understand the panel. Both must be of the same version."
    ),
    "agent.state_unreadable": _("The agent did not understand what is wanted: %(detail)s."),
    "agent.verb_unknown": _(
        "The agent does not know what the panel asked for. Both must be of the same version."
    ),
    "agent.peer_refused": _(
        "The agent does not take orders from the user the panel runs as (uid %(uid)s). Add it to "
        "allowed_uids in the agent’s configuration."
    ),
    "agent.request_incomplete": _("The agent waited for the rest of a question that never came."),
    # answering an authority on port 80
    "http01.port_taken": _(
        "The agent cannot answer the authority on port %(port)s: %(program)s (process %(pid)s) "
        "listens on %(place)s. Nothing was published. Name the folder that this web server serves "
        "as web_root in the agent’s configuration, or stop it while certificates are requested."
    ),
    "http01.port_taken_by_unknown": _(
        "The agent cannot answer the authority on port %(port)s: a program that it cannot see "
        "listens on %(place)s. Nothing was published. If that is a web server, name the folder it "
        "serves as web_root in the agent’s configuration."
    ),
    "http01.address_not_local": _(
        "The agent cannot answer the authority: the mail server has no address %(address)s. "
        "Nothing was published. Correct the addresses under http01 in the agent’s configuration."
    ),
    "http01.port_not_bindable": _(
        "The agent cannot listen on %(place)s to answer the authority (%(detail)s). Nothing was "
        "published."
    ),
    "http01.no_listener": _(
        "The agent may not listen for the authority: its configuration names no address under "
        "http01, and no web_root either. Nothing was published."
    ),
    "http01.no_server": _(
        "No mail server is named that could answer the authority. Choose the server, or let the "
        "panel answer."
    ),
    "http01.no_web_root": _(
        "The agent knows no folder of a web server to put the answer in. Nothing was published. "
        "Name it as web_root under http01 in the agent’s configuration."
    ),
    "http01.web_root_unusable": _(
        "The answer to the authority could not be written below %(subject)s (%(detail)s). Nothing "
        "was published. The folder must exist, and .well-known/acme-challenge in it must not be "
        "reached through a link."
    ),
    "http01.answer_refused": _(
        "The agent publishes nothing but answers to an authority: a token, a point, and the "
        "fingerprint of an account key. What it was given is something else, so nothing was "
        "published."
    ),
    "http01.too_many": _(
        "The agent answers for %(limit)s tokens already, which is the most. Nothing was published. "
        "Wait until orders under way have ended."
    ),
    # a rehearsal: a mail server made for one certificate, beside the real one
    "rehearsal.under_way": _(
        "Another certificate is being rehearsed on the mail server. Wait a few seconds, then "
        "rehearse again."
    ),
    "rehearsal.apply_under_way": _(
        "A change is being applied to the mail server, and nothing is rehearsed beside it. Wait "
        "until it has ended, then rehearse again."
    ),
    "rehearsal.leaf_unreadable": _(
        "The certificate to rehearse cannot be read. Nothing was started."
    ),
    "rehearsal.name_not_covered": _(
        "The certificate is not for %(names)s, which clients will ask for, so they would refuse "
        "it. Nothing was started."
    ),
    "rehearsal.no_mail_owner": _(
        "Postfix’s user %(subject)s (mail_owner) does not exist on the mail server, so no second "
        "Postfix could be started to rehearse with. Correct mail_owner in main.cf."
    ),
    "rehearsal.no_port": _(
        "No free port was found on the mail server to rehearse on (%(detail)s). The real mail "
        "server was not touched."
    ),
    "rehearsal.not_started": _(
        "The %(daemon)s that was to rehearse the certificate did not start: %(words)s. The real "
        "mail server was not touched."
    ),
    "rehearsal.port_taken": _(
        "Another program took %(place)s just before %(who)s was rehearsed there. The real mail "
        "server was not touched. Rehearse again."
    ),
    "rehearsal.refused": _(
        "%(daemon)s does not serve this certificate: %(words)s. It was tried on a mail server of "
        "its own; the real one was not touched."
    ),
    "rehearsal.other_chain": _(
        "%(who)s: beside the certificate, %(sent)s of its chain were sent on %(place)s instead of "
        "%(wanted)s, or in another order. This was tried on a mail server of its own; the real one "
        "was not touched."
    ),
    "rehearsal.too_slow": _(
        "The rehearsal did not end within %(seconds)s seconds and was given up. The real mail "
        "server was not touched. Look at how busy it is, then rehearse again."
    ),
    "rehearsal.not_ended": _(
        "Programs of the rehearsal cannot be ended on the mail server. The real mail server was "
        "not touched. Restart the agent, which tries again."
    ),
    # the plan
    "plan.not_ready": _("The plan has not been made yet. Look at it first, then apply."),
    "plan.outdated": _(
        "What is wanted has changed since this plan was made, so it was not applied. Review the "
        "new plan."
    ),
    "plan.stale": _(
        "The mail server’s files have changed since the plan was made, so nothing was applied. "
        "Review the new plan."
    ),
    "plan.file_edited": _(
        "%(subject)s was edited by somebody else while the plan was being applied. Nothing was "
        "changed and the edit stands. Review the new plan."
    ),
    # deployments
    "deployment.under_way": _(
        "Deployment #%(number)s is still under way. Wait until it has ended, then apply."
    ),
    "deployment.awaiting": _(
        "Deployment #%(number)s waits to be confirmed. Keep it or take it back first, then apply."
    ),
    # to be confirmed
    "confirm.expired": _("Nobody confirmed it within the time that was given (%(minutes)s min)."),
    "confirm.declined": _("It was taken back on request instead of being confirmed."),
    "confirm.awaiting": _(
        "An earlier deployment is taken back in %(seconds)s seconds unless it is confirmed. "
        "Nothing new was applied. Keep it or take it back first, then apply."
    ),
    "confirm.too_late": _(
        "It is too late to confirm it: the time was over, and the mail server’s agent has taken it "
        "back or is about to. Apply again if you want it."
    ),
    "confirm.kept": _(
        "It does not wait to be confirmed (any more): it stays. To undo it, go back to an earlier "
        "state."
    ),
    "confirm.another": _(
        "Another deployment than this one waits to be confirmed. Nothing was changed."
    ),
    "confirm.unknown": _(
        "The mail server’s agent knows nothing of this deployment, so it can neither be kept nor "
        "taken back."
    ),
    "confirm.minutes": _("The time to confirm must be between 1 and %(most)s minutes."),
    "deployment.old_not_served": _(
        "The certificate that was to be replaced (%(fingerprint)s…) is served on no port any more. "
        "Nothing was changed. Choose on its page where the new one is to be used."
    ),
    "deployment.never_proven": _(
        "Deployment #%(number)s was never proven, so its state is nothing to go back to."
    ),
    "deployment.fault": _(
        "The panel met a fault of its own while the deployment ran, so how it ended is not known "
        "here. The log has the details. Check the ports now, then review and apply again."
    ),
    "deployment.unknown": _("There is no deployment #%(number)s."),
    # keys and certificates
    "material.certificate_gone": _(
        "The certificate %(label)s (%(fingerprint)s…) is not here any more. Choose another one."
    ),
    "material.key_missing": _(
        "The private key of %(label)s is neither in the panel nor on the mail server. Nothing was "
        "written. Upload the certificate again together with its key."
    ),
    "material.key_mismatch": _(
        "The private key stored for %(label)s belongs to another certificate. Nothing was written: "
        "the daemons would accept it and then refuse every TLS connection."
    ),
    "material.leaf_unreadable": _("The certificate %(label)s cannot be read. Nothing was written."),
    "material.other_leaf": _(
        "The certificate sent for %(label)s is not the one its fingerprint names. Nothing was "
        "written."
    ),
    "material.chain_unreadable": _(
        "The chain stored with %(label)s cannot be read. Nothing was written."
    ),
    # ports
    "port.taken": _(
        "%(place)s, wanted for %(who)s, is held by %(program)s (process %(pid)s). Nothing was "
        "changed. Stop that program or choose another port."
    ),
    "port.held_by_listener": _(
        "%(place)s, wanted for %(who)s, cannot be taken in one step: %(program)s listens on that "
        "port already, on one address. Nothing was changed. Close the port and apply, then open "
        "it where you want it and apply again."
    ),
    "port.taken_by_unknown": _(
        "%(place)s, wanted for %(who)s, is held by another program. Nothing was changed."
    ),
    "port.address_not_local": _(
        "%(address)s is not an address of the mail server, so nothing can listen on %(place)s for "
        "%(who)s. Nothing was changed: the daemon would have died."
    ),
    "port.not_bindable": _(
        "Nothing can listen on %(place)s for %(who)s: %(detail)s. Nothing was changed."
    ),
    # the daemons
    "daemon.down": _(
        "%(daemon)s is not running, so nothing can be proven. Nothing was changed. Find out why it "
        "stopped, start it, then apply."
    ),
    "dovecot.dropin_refused": _(
        "Dovecot %(now)s does not understand the panel’s file as it is now: it was edited, or "
        "Dovecot was upgraded. Dovecot would not start with it. Applying writes it anew for this "
        "version, starts Dovecot if it is down, and proves every port."
    ),
    "daemon.died": _("%(daemon)s died after the change."),
    "daemon.halted": _(
        "%(daemon)s is halted: its main process %(pid)s was stopped (SIGSTOP, or a debugger) and "
        "answers nobody new. Let it go on with “kill -CONT %(pid)s”; if it stays silent, end it "
        "with “kill -KILL %(pid)s” and start it again."
    ),
    "postfix.reload_hangs": _(
        "Postfix did not take a reload within %(seconds)s seconds: its main process %(pid)s or its "
        "log hangs. If it takes no mail, end it with “kill -KILL %(pid)s” and start it again."
    ),
    "postfix.check_failed": _("Postfix’s own parser refuses the new files: %(words)s"),
    "postfix.config_broken": _("Postfix cannot read its own files as they are now: %(words)s"),
    "postfix.map_failed": _("Postfix could not compile the map of host names: %(words)s"),
    "postfix.reload_failed": _("Postfix refused to reload: %(words)s"),
    "postfix.start_failed": _("Postfix could not be started again: %(words)s"),
    "postfix.sasl_not_configured": _(
        "Postfix has not been told where to check passwords (smtpd_sasl_type, smtpd_sasl_path), so "
        "nobody could log in to send mail. Set both in main.cf, usually “dovecot” and "
        "“private/auth”."
    ),
    "postfix.block_damaged": _(
        "The marks around the panel’s own lines in %(subject)s do not pair up any more, so nobody "
        "can say which lines are whose. Nothing is written. Put back “# BEGIN mailadmin.” before "
        "and “# END mailadmin” after them, with your own lines outside, then look again."
    ),
    "postfix.restrictions_replaced": _(
        "%(who)s has rules of its own in master.cf (%(settings)s). The panel’s take their place: "
        "whoever sends there logs in first, and nothing else is checked. Yours are kept as "
        "comments."
    ),
    "postfix.address_family_off": _(
        "%(who)s cannot listen on %(address)s: Postfix is told to use %(inet_protocols)s only "
        "(inet_protocols in main.cf). Nothing was changed: it would have died. Set inet_protocols "
        "to “all” and restart Postfix, or choose another address."
    ),
    "postfix.service_not_understood": _(
        "The service “%(entry)s” in master.cf runs %(command)s, which the panel does not manage. "
        "It is left alone; change it by hand or leave %(who)s as it is."
    ),
    "dovecot.check_failed": _("Dovecot’s own parser refuses the new files: %(words)s"),
    "dovecot.config_broken": _("Dovecot cannot read its own files as they are now: %(words)s"),
    "dovecot.dropin_overridden": _(
        "Another of Dovecot’s files overrides %(subject)s, so the new setting would have no "
        "effect. Make sure that conf.d/*.conf is included, and last."
    ),
    "dovecot.protocol_missing": _(
        "%(who)s cannot be opened: Dovecot has no %(protocol)s here. Install the package for it, "
        "or switch it on in “protocols”."
    ),
    "dovecot.not_answering": _("Dovecot did not answer within %(seconds)s seconds of its reload."),
    "dovecot.reload_ends_sessions": _(
        "Dovecot runs with shutdown_clients = yes: this reload ends everybody’s open IMAP and POP3 "
        "sessions six seconds later; mail programs reconnect by themselves. Afterwards it is "
        "“no”, and later changes leave sessions alone."
    ),
    "dovecot.reload_failed": _("Dovecot refused to reload: %(words)s"),
    "dovecot.reread_refused": _("Dovecot refuses the new files: %(words)s"),
    "dovecot.reread_unavailable": _("Dovecot could not be asked to read its files: %(detail)s."),
    "dovecot.start_failed": _("Dovecot could not be started again: %(words)s"),
    "dovecot.version_unknown": _("Dovecot did not say which version it is: %(words)s"),
    "dovecot.who_failed": _("Dovecot did not say who is logged in: %(words)s"),
    # files and programs
    "file.missing": _("%(subject)s does not exist."),
    "file.unreadable": _("%(subject)s cannot be read: %(detail)s."),
    "file.unwritable": _("%(subject)s cannot be written: %(detail)s."),
    "program.missing": _("The program %(subject)s is not installed on the mail server."),
    "program.not_started": _("%(subject)s could not be started: %(detail)s."),
    "program.timeout": _("%(subject)s did not end within %(seconds)s seconds and was stopped."),
    # proof
    "probe.closed": _("%(who)s: nothing answers on %(place)s (%(detail)s)."),
    "probe.timeout": _("%(who)s: %(place)s takes the connection and then says nothing."),
    "probe.too_many": _(
        "%(who)s: Postfix takes no more connections on %(place)s from the panel for now "
        "(“%(detail)s”): one of its limits per client is reached "
        "(smtpd_client_connection_rate_limit and its like), so nothing can be proven. Let this "
        "machine pass in main.cf, with smtpd_client_event_limit_exceptions, then apply again."
    ),
    "probe.still_open": _("%(who)s: %(place)s should be closed and still answers."),
    "probe.wrong_greeting": _(
        "%(who)s: what answers on %(place)s does not speak the protocol (“%(detail)s”)."
    ),
    "drift.overwritten": _(
        "%(file)s was changed outside the panel since the last apply, and applying overwrites that "
        "change: the difference below shows it. To keep it, take it over on the Drift page first."
    ),
    "drift.not_accepted": _(
        "Nothing was applied: it would overwrite what was changed outside the panel in %(files)s. "
        "Read the difference, then tick that it may be overwritten."
    ),
    "drift.would_overwrite": _(
        "Nothing was applied: it would overwrite what was changed outside the panel in %(files)s, "
        "and nobody reviewed that. Take the change over or restore what was applied (Drift), then "
        "it can be tried again."
    ),
    "drift.apply_under_way": _(
        "The files were not compared with what was applied, because that is being changed just now."
    ),
    "drift.gone": _(
        "Nothing was decided: the difference is gone, or is not the one that was on the page any "
        "more. Read what it is now."
    ),
    "drift.not_understood": _(
        "Nothing was taken over: the panel finds no port and no certificate in what was changed "
        "that it could want. Restore what was applied, or leave it."
    ),
    "probe.tls_failed": _("%(who)s: the TLS handshake on %(place)s fails (%(detail)s)."),
    "probe.starttls_missing": _(
        "%(who)s: STARTTLS is not offered on %(place)s, so mail would travel in clear."
    ),
    "probe.other_certificate": _(
        "%(who)s: %(place)s serves another certificate (%(label)s, %(found_short)s…) than the "
        "wanted one (%(wanted_short)s…)."
    ),
    "probe.mail_without_login": _(
        "%(who)s: %(place)s takes mail from anybody, without a login (“%(reply)s”)."
    ),
    "probe.login_in_clear": _("%(who)s: %(place)s takes passwords before TLS."),
    "probe.tls_required": _(
        "%(who)s: %(place)s refuses servers that cannot encrypt (“%(reply)s”), so some mail will "
        "not arrive."
    ),
    "probe.tls_not_required": _("%(who)s: %(place)s goes on without TLS (“%(reply)s”)."),
    "probe.not_as_before": _(
        "%(who)s: %(place)s does not show what it showed before the change (%(detail)s)."
    ),
    "rollback.edited": _(
        "%(subject)s was edited since it was put back. The agent leaves it alone, and goes on as "
        "soon as it is as before the change."
    ),
    "rollback.not_proven": _(
        "The change failed (%(reason_words)s) and taking it back could not be proven either: "
        "%(problem_words)s"
    ),
}


def say_problem(problem: Problem | Mapping[str, Any]) -> str:
    """Return a problem of any layer, or its JSON form, as a sentence."""
    told = problem if isinstance(problem, Problem) else Problem.from_dict(problem)
    sentence = PROBLEMS.get(told.code)
    if sentence is None:
        return say_listener_problem(told)
    try:
        said = str(sentence) % _words(told)
    except KeyError:
        # A newer agent may leave out or rename a parameter; the code still says which fault it is.
        return told.code
    return _with_question(said, told) if told.severity == "error" else said


def _words(problem: Problem) -> dict[str, object]:
    params = dict(problem.params)
    words: dict[str, object] = {
        "who": subject_words(problem.subject),
        "subject": problem.subject,
        "fingerprint": problem.subject[:16],
        "daemon": name_daemon(problem.subject),
        **params,
    }
    if "at" in params:
        words["day"] = datetime.fromtimestamp(int(params["at"]), UTC).date().isoformat()
    if "address" in params and "port" in params:
        words["place"] = address_words(str(params["address"]), str(params["port"]))
    for name in ("found", "wanted"):
        if name in params:
            words[f"{name}_short"] = str(params[name])[:16]
    words["problem_words"] = _("why is not known.")
    for name in ("reason", "problem"):
        if name in params:
            words[f"{name}_words"] = _say_within(name, problem)
    return words


def _say_within(name: str, problem: Problem) -> str:
    """Return the sentence of a problem within another; its code where its parameters are not known.

    An older agent told the code alone, and one subject for both.
    """
    prefix = f"{name}."
    within = {
        key.removeprefix(prefix): value
        for key, value in problem.params.items()
        if key.startswith(prefix)
    }
    shared = problem.subject if problem.subject in SERVICES else ""
    subject = str(within.pop("subject", shared))
    return say_problem(Problem(str(problem.params[name]), subject=subject, params=within))


def _with_question(said: str, problem: Problem) -> str:
    """Add what was asked for: a host name, a kind of key, or both."""
    asked = [str(problem.params.get("sni_name", ""))]
    if "key_algorithm" in problem.params:
        asked.append(key_words(str(problem.params["key_algorithm"])))
    words = ", ".join(item for item in asked if item)
    return f"{said} ({words})" if words else said
