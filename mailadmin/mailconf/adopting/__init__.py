"""A host as its admin left it: what its own files say, and which of that can stay as it is.

``postfix_files`` and ``dovecot_files`` read, ``keeping`` takes from a desired state what the host
has already. What is read but cannot be told to the panel is a finding, with file and line.

==============================  ========  ==========================================================
code                            severity  when
==============================  ========  ==========================================================
found.other_port                info      a service on a port that the panel does not look after
found.other_program             warning   another program than smtpd answers on one of our ports
found.second_service            warning   a second service on one of our ports, elsewhere
found.setting                   info      a TLS setting that stays the host's own
found.several_addresses         warning   ``inet_interfaces`` names several addresses
found.other_instance            warning   Postfix has other instances
found.sni_map_unreadable        warning   a table of host names that cannot be read
found.name_pattern              warning   a certificate for a pattern of host names
found.name_one_sided            warning   Postfix and Dovecot differ about a host name
found.certificate_unreadable    warning   a certificate file that is named and cannot be read
found.filter                    warning   Dovecot has settings for some addresses or names only
==============================  ========  ==========================================================

Parameters: ``file``, ``line`` (0 where none can be told) and ``text``, the line itself.
"""
