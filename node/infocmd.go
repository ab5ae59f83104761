package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ashlardb/ashlar/node/proto"
)

// InfoCommand returns "ashlar info", which asks any node of this protocol.
func InfoCommand() *cobra.Command {
	var (
		host    string
		timeout time.Duration
		lines   bool
	)
	cmd := &cobra.Command{
		Use:   "info [COMMAND…]",
		Short: "Ask a node by info commands",
		Long: `Ask a node by info commands and print the answers, one command a line:
command, tab, value. Without a command the node answers its summary.`,
		Example: "  ashlar info build node 'namespace/test'\n  ashlar info -l statistics",
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := askInfo(host, args, timeout)
			if err != nil {
				return err
			}
			if lines {
				answer = bytes.ReplaceAll(answer, []byte(";"), []byte("\n"))
			}
			_, err = cmd.OutOrStdout().Write(answer)
			return err
		},
	}
	cmd.Flags().StringVarP(&host, "host", "h", "127.0.0.1:3000", "node to ask, host:port")
	cmd.Flags().DurationVarP(&timeout, "timeout", "t", 5*time.Second, "how long to wait")
	cmd.Flags().BoolVarP(&lines, "lines", "l", false, "print one value a line")
	cmd.Flags().Bool("help", false, "help for info") // -h is the host, as in the ecosystem's tools
	return cmd
}

// askInfo sends commands in one message and returns the body of the answer.
func askInfo(host string, commands []string, timeout time.Duration) ([]byte, error) {
	if !strings.Contains(host, ":") {
		host += ":3000"
	}
	var text []byte
	for _, c := range commands {
		if strings.Contains(c, "\n") {
			return nil, fmt.Errorf("info: command %q: want one line", c)
		}
		text = append(append(text, c...), '\n')
	}
	conn, err := net.DialTimeout("tcp", host, timeout)
	if err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, fmt.Errorf("info: %w", err)
	}
	if _, err := conn.Write(append(proto.AppendHeader(nil, proto.Info, len(text)), text...)); err != nil {
		return nil, fmt.Errorf("info: ask %s: %w", host, err)
	}
	head := make([]byte, proto.HeaderSize)
	if _, err := io.ReadFull(conn, head); err != nil {
		return nil, fmt.Errorf("info: answer of %s: %w", host, err)
	}
	h, err := proto.ParseHeader(head)
	if err == nil && h.Type != proto.Info {
		err = errors.New("another type of message")
	}
	if err != nil {
		return nil, fmt.Errorf("info: answer of %s: %w", host, err)
	}
	answer := make([]byte, h.Body)
	if _, err := io.ReadFull(conn, answer); err != nil {
		return nil, fmt.Errorf("info: answer of %s: %w", host, err)
	}
	return answer, nil
}
