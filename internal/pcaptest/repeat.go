package pcaptest

import (
	"fmt"
	"strconv"
	"strings"
)

// unroll yields the lines of a script, with loops written out.
func unroll(script string, yield func(string) error) error {
	var body []string // of the loop
	times, number := 0, 0
	for line := range strings.Lines(script) {
		number++
		line, _, _ = strings.Cut(line, " #")
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		err := error(nil)
		switch count, loop := strings.CutPrefix(line, "repeat "); {
		case loop && times > 0:
			err = fmt.Errorf("a loop in a loop")
		case loop:
			times, err = strconv.Atoi(count)
		case line == "end" && times > 0:
			err = repeat(times, body, yield)
			times, body = 0, nil
		case times > 0:
			body = append(body, line)
		default:
			err = yield(line)
		}
		if err != nil {
			return fmt.Errorf("script line %d: %q: %w", number, line, err)
		}
	}
	if times > 0 {
		return fmt.Errorf("script: a loop without end")
	}
	return nil
}

func repeat(times int, body []string, yield func(string) error) error {
	for i := range times {
		for _, line := range body {
			filled, err := fill(line, i)
			if err == nil {
				err = yield(filled)
			}
			if err != nil {
				return fmt.Errorf("turn %d, %q: %w", i, line, err)
			}
		}
	}
	return nil
}

// fill replaces what is in braces.
func fill(line string, i int) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(line, "{")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		expression, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", fmt.Errorf("{ without }")
		}
		v, err := reckon(expression, i)
		if err != nil {
			return "", err
		}
		out.WriteString(strconv.Itoa(v))
		line = after
	}
}

// reckon goes from left to right: "40000+i", "i%250+1".
func reckon(expression string, i int) (int, error) {
	value, operator := 0, byte('+')
	for expression != "" {
		end := strings.IndexAny(expression, "+-*/%")
		if end < 0 {
			end = len(expression)
		}
		operand := i
		if term := expression[:end]; term != "i" {
			var err error
			if operand, err = strconv.Atoi(term); err != nil {
				return 0, err
			}
		}
		if operand == 0 && (operator == '/' || operator == '%') {
			return 0, fmt.Errorf("division by zero in {%s}", expression)
		}
		switch operator {
		case '+':
			value += operand
		case '-':
			value -= operand
		case '*':
			value *= operand
		case '/':
			value /= operand
		case '%':
			value %= operand
		}
		if end == len(expression) {
			break
		}
		operator, expression = expression[end], expression[end+1:]
	}
	return value, nil
}
